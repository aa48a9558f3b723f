"""These tests need llama.cpp in an environment of its own: `make test-llamacpp`. Without it none is collected.

Those of llama-cpp-python's server need that built: `make test-llamacpp-python`.
"""

from importlib.util import find_spec

import pytest

collect_ignore = [
    file
    for file, needed in (("test_server.py", "xllamacpp"), ("test_python_server.py", "llama_cpp"))
    if find_spec(needed) is None
]


@pytest.fixture(scope="session")
def gguf(tmp_path_factory):
    """The shipped tiny model in llama.cpp's format."""
    from tests.llamacpp.model import write_gguf

    return write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def gateway(engine):
    """A gateway before the module's `engine`, a URL."""
    from tests.gateway.process.served import serving

    with serving("--engine", engine, "--policy", "shortest", "--journal", "none") as found:
        yield found


@pytest.fixture(scope="module")
def client(gateway):
    """OpenAI's client of the gateway."""
    with talking(gateway.url) as found:
        yield found


@pytest.fixture(scope="module")
def direct(engine):
    """OpenAI's client of the engine itself."""
    with talking(engine) as found:
        yield found


def talking(url):
    from openai import OpenAI

    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120)

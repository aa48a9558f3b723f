"""These tests need llama.cpp in an environment of its own: `make test-llamacpp`. Without it none is collected."""

from importlib.util import find_spec

import pytest

if find_spec("xllamacpp") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def gguf(tmp_path_factory):
    """The shipped tiny model in llama.cpp's format."""
    from tests.llamacpp.model import write_gguf

    return write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")

"""These tests need vLLM, which has an environment of its own: `make test-vllm`. Without it none is collected."""

import os
from importlib.util import find_spec

import pytest
from tests.vllm.models import config_only

from soonest.engines import tiny

if find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_CONFIGURE_LOGGING": "0",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }


@pytest.fixture(scope="session")
def facts(tmp_path_factory):
    """A model's configuration without weights."""
    return config_only(tmp_path_factory.mktemp("facts") / "model")


@pytest.fixture(scope="session")
def llama():
    """The small model that comes with the package."""
    return tiny.path()

"""What the engine's tests share: small models, made once."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest


def neighbour(name):
    """A module beside this file: tests are no package."""
    spec = spec_from_file_location(f"engines_{name}", Path(__file__).parent / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A model of random weights; its greedy answers go on and on."""
    return neighbour("models").make(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="session")
def serving():
    """`with serving(folder, *flags) as url`: a server in a process of its own."""
    return neighbour("servers").serving

"""What the engine's tests share: a small model, made once, and engines that end with their test."""

import pytest


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A model of random weights; its greedy answers go on and on."""
    from tests.engines.models import make

    return make(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="session")
def model(model_folder):
    """That model, loaded."""
    import torch

    from soonest.engines.embedded import load

    torch.set_num_threads(1)
    return load(str(model_folder), device="cpu")


@pytest.fixture
def engine(model):
    """`engine(policy, **settings)`: a started engine, stopped at the end."""
    from soonest.engines.embedded import Engine, Settings
    from soonest.policies import policy

    made = []

    def make(words="shortest", **settings):
        made.append(Engine(model, policy(words), Settings(**{"slots": 4, **settings})))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()

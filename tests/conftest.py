"""What several tests share."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("new", deadline=None)  # a busy machine is no fault
settings.register_profile("ci", deadline=None, derandomize=True)  # the same examples every time
settings.load_profile("ci" if os.environ.get("CI") else "new")

for _name in ("QUEUE_LENGTH_RESPONSE_DEADLINE_S", "MAX_QUEUE_LENGTH_RESPONSE_DEADLINE_S"):
    os.environ.setdefault(f"RAY_SERVE_{_name}", "10")  # what Ray's router gives a replica to answer; 0.1 s is its own

VARIABLE = "SOONEST_DATA"
FALLBACK = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data():
    """Path of a file of the shared data; fails where the data are promised, skips where they are not."""

    def find(name):
        promised = os.environ.get(VARIABLE)
        path = Path(promised or FALLBACK) / name
        if path.is_file():
            return path
        if promised:
            return pytest.fail(f"{VARIABLE} is {promised}, but {name} is not there")
        return pytest.skip(f"no shared data: set {VARIABLE} to the directory that holds {name}")

    return find


def pytest_collection_modifyitems(config, items):
    """Without a GPU, tests that need one are deselected, and counted in the last line. The longest test is first."""
    items.sort(key=lambda item: not item.name.startswith("test_minilm_"))  # or one worker is left alone with it
    if shutil.which("nvidia-smi") is None:
        for_gpu = [item for item in items if item.get_closest_marker("gpu")]
        if for_gpu:
            config.hook.pytest_deselected(items=for_gpu)
            items[:] = [item for item in items if item not in for_gpu]

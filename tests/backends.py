"""Which backends the tests of the simulator try."""

from functools import cache

import pytest

from soonest.sim.simulate import kernel_obstacle

BACKENDS = ("python", "kernel")


@cache
def _missing():
    try:
        import soonest.sim.kernel  # noqa: F401 - only whether it can be
    except ImportError as error:
        return str(error)
    return None


def usable(backend, case):
    """Whether this backend takes the case; skips the test where the kernel is not there at all."""
    if backend == "python":
        return True
    if _missing() is not None:
        pytest.skip(f"no kernel: {_missing()}")
    return kernel_obstacle(*case) is None

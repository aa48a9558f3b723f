"""The one call that simulates."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np

from soonest.core import Policy, SimulationError
from soonest.policies import policy as named
from soonest.sim.host import Host
from soonest.sim.options import Options

if TYPE_CHECKING:
    from soonest.sim.result import Result
    from soonest.sim.workload import Workload

Backend = Literal["auto", "python", "kernel"]
WORTH_COMPILING = 20_000
"""Jobs from which on loading the compiled kernel pays."""


def simulate(
    workload: Workload, policy: Policy | str, options: Options | None = None, *, backend: Backend = "auto"
) -> Result:
    """Run a workload under a policy; the same seed gives the same bytes, on either backend.

    `policy` is an object, or words such as `aging(shortest, rate=5)`. The `kernel` is compiled with Numba (extra `fast`)
    and takes policies that are plain numbers; `auto` uses it where it can and the workload is large.

    Raises:
        CapacityError: a job can never fit memory.
        PolicyError: the rules do not give what the policy needs, or the kernel cannot run it.
        SimulationError: the backend is unknown or not installed, or simulated time ran out.
    """
    policy = named(policy) if isinstance(policy, str) else policy
    options = Options() if options is None else options
    options.check(policy)
    workload.check(options.rules)
    if backend == "python":
        return Host(workload, policy, options).run()
    if backend not in {"auto", "kernel"}:
        raise SimulationError(f"no backend {backend!r}; known: auto, python, kernel")
    obstacle = kernel_obstacle(workload, policy, options)
    if backend == "kernel" and obstacle is not None:
        raise SimulationError(f"the kernel cannot run this: {obstacle}")
    if obstacle is not None or (backend == "auto" and len(workload) < WORTH_COMPILING):
        return Host(workload, policy, options).run()
    from soonest.sim.kernel import run  # noqa: PLC0415 - Numba is loaded only where it is used

    return run(workload, policy, options)


def kernel_obstacle(workload: Workload, policy: Policy, options: Options) -> str | None:
    """Why the compiled kernel cannot run this, or `None`."""
    if policy.numbers is None:
        return f"policy {policy.name!r} is code, not plain numbers"
    if options.engines > 1:
        return "it runs one engine"
    if options.weights is not None:
        return "it knows no tenant shares"
    if options.prefix_blocks and workload.blocks:
        return "it has no prefix cache"
    if workload.priority.min() != workload.priority.max():
        return "it knows no priority classes"
    if find_spec("numba") is None:
        return "Numba is not installed: pip install 'soonest[fast]'"
    return None


def saturation(workload: Workload, options: Options, *, backend: Backend = "auto") -> float:
    """Requests a second that the engines sustain at most: `fcfs` with the whole workload waiting at the start.

    Measured up to the moment at which the last request is admitted, so that the final drain does not count.
    """
    result = simulate(workload.at(np.zeros(len(workload))), "fcfs", options, backend=backend)
    full = result.admitted.max()
    before = result.finished <= full
    if full > 0 and before.sum() > len(workload) // 2:
        return float(before.sum() / (full / 1e12))
    return float(len(workload) / (result.finished.max() / 1e12))

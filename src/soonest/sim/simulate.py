"""The one call that simulates."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np

from soonest.core import Policy, SimulationError
from soonest.policies import policy as named
from soonest.sim.host import Host
from soonest.sim.options import Options
from soonest.sim.result import NEVER
from soonest.sim.workload import PICOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.sim.result import Result
    from soonest.sim.workload import Workload

Backend = Literal["auto", "python", "kernel"]
WORTH_COMPILING = 20_000
"""Jobs from which on loading the compiled kernel pays."""


def simulate(
    workload: Workload, policy: Policy | str, options: Options | None = None, *, backend: Backend = "auto"
) -> Result:
    """Run a workload under a policy; the same seed gives the same bytes, on either backend.

    `policy` is an object, or words such as `aging(shortest, rate=5)`. The `kernel` is compiled with Numba (extra
    `fast`) and takes policies that are plain numbers; `auto` uses it where it can and the workload is large.

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
    obstacles = (
        (policy.numbers is None, f"policy {policy.name!r} is code, not plain numbers"),
        (options.engines > 1, "it runs one engine"),
        (options.weights is not None, "it knows no tenant shares"),
        (options.prefix_blocks > 0 and bool(workload.blocks), "it has no prefix cache"),
        (workload.priority.min() != workload.priority.max(), "it knows no priority classes"),
        (find_spec("numba") is None, "Numba is not installed: pip install 'soonest[fast]'"),
    )
    return next((reason for found, reason in obstacles if found), None)


def saturation(workload: Workload, options: Options, *, backend: Backend = "auto") -> float:
    """Requests a second that the engines sustain at most: `fcfs` with the whole workload waiting at the start.

    Measured up to the moment at which the last request is admitted, so that the final drain does not count.
    """
    result = simulate(workload.at(np.zeros(len(workload))), "fcfs", options, backend=backend)
    full = result.admitted.max()
    done = result.finished != NEVER
    if not done.any():
        raise SimulationError("no request ends under these rules, so there is no saturation to take a share of")
    before = done & (result.finished <= full)
    if full > 0 and before.sum() > len(workload) // 2:
        return float(before.sum() / (full / PICOSECONDS))
    return float(done.sum() / (result.finished.max() / PICOSECONDS))


def service_times(workload: Workload, options: Options) -> NDArray[np.float64]:
    """Seconds that each job takes on an engine of its own, of shape (n,): what `slowdown` compares with."""
    step, budget = options.step_time, options.rules.token_budget
    prompt, output = workload.prompt_tokens, workload.output_tokens
    chunks = np.maximum(1, -(-prompt // budget)) if budget else np.ones_like(prompt)
    attended = (budget or 0) * (chunks * (chunks - 1) // 2) + prompt  # sum over chunks of tokens computed so far
    attended += (output - 1) * prompt + output * (output - 1) // 2  # and over the decoding iterations after them
    iterations = step.startup + chunks + output - 1
    picoseconds = iterations * (step.iteration + step.per_sequence) + step.per_prefill_token * prompt
    return np.asarray((picoseconds + step.per_context_token * attended) / PICOSECONDS, dtype=np.float64)

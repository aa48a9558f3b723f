"""The one call that simulates."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np

from soonest.core import Need, Policy, SimulationError
from soonest.policies import policy as named
from soonest.sim.fleet import Fleet
from soonest.sim.forecasts import Beliefs
from soonest.sim.host import Host
from soonest.sim.options import Options
from soonest.sim.result import NEVER
from soonest.sim.workload import FILLERS, PICOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.sim.live import Forecaster
    from soonest.sim.result import Result
    from soonest.sim.workload import Workload

Backend = Literal["auto", "python", "kernel"]
WORTH_COMPILING = 20_000
"""Jobs from which on loading the compiled kernel pays."""
ENOUGH_JOBS, ENOUGH_BATCHES = 500, 20
"""Saturation is measured on at least so many jobs, and on so many times what runs at once."""


def simulate(
    workload: Workload,
    policy: Policy | str,
    options: Options | None = None,
    *,
    backend: Backend = "auto",
    forecaster: Forecaster | None = None,
) -> Result:
    """Run a workload under a policy; the same seed gives the same bytes, on either backend.

    `policy` is an object, or words such as `aging(shortest, rate=5)`. The `kernel` is compiled with Numba (extra
    `fast`) and takes policies that are plain numbers; `auto` uses it where it can and the workload is large.
    A `forecaster` takes the place of the workload's forecasts; its latency delays every job.

    Raises:
        CapacityError: a job can never fit memory.
        PolicyError: the rules do not give what the policy needs, or the kernel cannot run it.
        SimulationError: the backend is unknown or not installed, or simulated time ran out.
    """
    policy = named(policy) if isinstance(policy, str) else policy
    options = Options() if options is None else options
    options.check(policy)
    workload.check(options.rules)
    host = Host if options.router is None else Fleet
    if forecaster is not None and backend != "kernel":
        late = workload.at(workload.arrival + forecaster.latency)
        return replace(host(late, policy, options, forecaster).run(), workload=workload)
    if backend == "python":
        return host(workload, policy, options).run()
    if backend not in {"auto", "kernel"}:
        raise SimulationError(f"no backend {backend!r}; known: auto, python, kernel")
    obstacle = kernel_obstacle(workload, policy, options) if forecaster is None else "forecasts are made as it runs"
    if backend == "kernel" and obstacle is not None:
        raise SimulationError(f"the kernel cannot run this: {obstacle}")
    if obstacle is not None or (backend == "auto" and len(workload) < WORTH_COMPILING):
        return host(workload, policy, options).run()
    from soonest.sim.kernel import run  # noqa: PLC0415 - Numba is loaded only where it is used

    return run(workload, policy, options)


def kernel_obstacle(workload: Workload, policy: Policy, options: Options) -> str | None:
    """Why the compiled kernel cannot run this, or `None`."""
    obstacles = (
        (policy.numbers is None, f"policy {policy.name!r} is code, not plain numbers"),
        (Need.DISPLACE in policy.needs or policy.ranks_unknown, "it displaces nobody, and ranks no unknown requests"),
        (options.engines > 1, "it runs one engine"),
        (options.speeds not in {(), (1.0,)}, "it runs an engine of speed 1"),
        (options.router is not None or options.gateways > 1, "it has one queue"),
        (options.weights is not None, "it knows no tenant shares"),
        (options.prefix_blocks > 0 and bool(workload.blocks), "it has no prefix cache"),
        (workload.priority.min() != workload.priority.max(), "it knows no priority classes"),
        (find_spec("numba") is None, "Numba is not installed: pip install 'soonest[fast]'"),
    )
    return next((reason for found, reason in obstacles if found), None)


def saturation(workload: Workload, options: Options, *, backend: Backend = "auto") -> float:
    """Requests a second that the engines sustain at most: `fcfs` with the whole workload waiting at the start.

    A fleet is measured with one queue for all, whatever its router: nothing idles while anybody waits. Measured up to
    the moment at which the last request is admitted, so that the final drain does not count. A workload of fewer than
    500 requests, or than 20 times what runs at once, waits there several times over: on its own it would be admitted at
    the start, and its longest answer alone would decide.
    """
    laps = math.ceil(_enough(workload, options) / len(workload))
    workload, options = _laps(workload.at(np.zeros(len(workload))), laps), options.pooled
    result = simulate(workload, "fcfs", options, backend=backend)
    full = result.admitted.max()
    done = result.finished != NEVER
    if not done.any():
        raise SimulationError("no request ends under these rules, so there is no saturation to take a share of")
    before = done & (result.finished <= full)
    if full > 0 and before.sum() > len(workload) // 2:
        return float(before.sum() / (full / PICOSECONDS))
    return float(done.sum() / (result.finished.max() / PICOSECONDS))


def _enough(workload: Workload, options: Options) -> int:
    """How many jobs saturation is measured on at least, below what is compiled for; 1 where any number runs at once."""
    rules = options.rules
    if rules.slots is None and rules.blocks is None:
        return 1
    held = max(1.0, float(np.mean(workload.prompt_tokens + workload.output_tokens / 2)))
    at_once = options.engines * min(rules.slots or math.inf, rules.capacity / held)
    return int(min(max(ENOUGH_JOBS, ENOUGH_BATCHES * at_once), WORTH_COMPILING / 2))


def _laps(workload: Workload, laps: int) -> Workload:
    """A workload that arrives at once, so many times over; laps share no block hashes, so none is another's hit."""
    if laps == 1:
        return workload
    rows = np.tile(np.arange(len(workload)), laps)
    names = ("arrival", "prompt_tokens", "output_tokens", *FILLERS)
    columns = {name: getattr(workload, name)[rows] for name in names}
    hashes = tuple(tuple(block * laps + lap for block in row) for lap in range(laps) for row in workload.blocks)
    told = Beliefs(workload.beliefs.table, workload.beliefs.index[rows])
    return replace(workload, **columns, beliefs=told, blocks=hashes)


def service_times(workload: Workload, options: Options) -> NDArray[np.float64]:
    """Seconds that each job takes on an engine of speed 1 of its own, of shape (n,): what `slowdown` compares with."""
    step, budget = options.step_time, options.rules.token_budget
    prompt, output = workload.prompt_tokens, workload.output_tokens
    chunks = np.maximum(1, -(-prompt // budget)) if budget else np.ones_like(prompt)
    attended = (budget or 0) * (chunks * (chunks - 1) // 2) + prompt  # sum over chunks of tokens computed so far
    attended += (output - 1) * prompt + output * (output - 1) // 2  # and over the decoding iterations after them
    iterations = step.startup + chunks + output - 1
    picoseconds = iterations * (step.iteration + step.per_sequence) + step.per_prefill_token * prompt
    return np.asarray((picoseconds + step.per_context_token * attended) / PICOSECONDS, dtype=np.float64)

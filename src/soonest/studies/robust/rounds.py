"""The theory papers' rounds where all arrive at 0: simulated in a tenth of the kernel's time, with ties drawn if asked.

Request by request the same as `simulate` under `Rules.paper`, which the tests compare. It looks over the rounds to come
instead of over the running, of whom memory holds thousands here. An eviction loses the tokens, as in the papers, or
keeps them. And it does what no policy can, because policies have no randomness: break ties at random at every overflow,
as A_min's pseudocode is read (Chen, Ye, Zhou, 2025, arXiv:2508.14544).
"""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import Need, Numbers, SimulationError
from soonest.policies import policy as named
from soonest.sim import NEVER, Options, simulate
from soonest.sim.kernel.state import FIRST_HIGH, FIRST_LOW
from soonest.sim.simulate import kernel_obstacle
from soonest.sim.workload import PICOSECONDS
from soonest.studies.robust.lengths import rules
from soonest.studies.robust.play import Jobs, Room, play

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.core import Policy
    from soonest.sim import Workload
    from soonest.sim.simulate import Backend

FREE: Final = {
    "first_low", "first_high", "estimate", "expected", "age", "keep_admitted", "keep_estimate", "keep_live", "grow",
    "plus", "lift", "quantum_first", "quantum_hazard", "area", "keep_area",
}  # fmt: skip
"""Coefficients that may have any value; `age` adds the same to every rank, because all arrive at once."""
FIXED: Final = Numbers(reserve_estimate=True)
"""The others have these."""


def total_latency(
    work: Workload, words: str, memory: int, seed: int, *, ties: bool = False, restart: bool = True
) -> float:
    """The sum of `latencies`."""
    return float(latencies(work, words, memory, seed, ties=ties, restart=restart).sum())


def latencies(
    work: Workload, words: str, memory: int, seed: int, *, ties: bool = False, restart: bool = True
) -> NDArray[np.float64]:
    """Completion times, in rounds, of requests that all arrive at 0: shape (n,).

    `ties`: of equal keys the evicted is drawn, instead of the newest. `restart`: an eviction loses the tokens. All are
    infinite if one is evicted more than `PATIENCE` times. Policies and forecasts that are unknown here are left to
    `simulate`.

    Raises:
        SimulationError: some arrive later, or ties are to be drawn for what is unknown here or has fractions as keys.
        PolicyError, CapacityError: as `simulate`.
    """
    policy = named(words)
    options = Options(replace(rules(memory), restart=restart), seed=seed)
    if work.arrival[-1] > 0:
        raise SimulationError("rounds are for requests that all arrive at 0: use simulate")
    if _known(policy, work):
        ends = finished(work, policy, options, ties=ties)
        return np.full(len(work), np.inf) if ends is None else ends.astype(np.float64)
    if ties:
        raise SimulationError(
            f"ties can be drawn for plain numbers that reserve, and known forecasts, not for {words!r}"
        )
    backend: Backend = "kernel" if kernel_obstacle(work, policy, options) is None else "python"
    result = simulate(work, policy, options, backend=backend)
    done = bool((result.finished != NEVER).all())
    return result.finished / PICOSECONDS if done else np.full(len(work), np.inf)


def finished(work: Workload, policy: Policy, options: Options, *, ties: bool) -> NDArray[np.int64] | None:
    """The round in which each request ends, of shape (n,), or nothing if one is evicted too often."""
    options.check(policy)
    work.check(options.rules)
    if ties and not _whole(policy):
        raise SimulationError(
            f"ties are drawn by adding less than 1 to a key, and the keys of {policy.name!r} are no whole numbers: "
            "leave ties to the order of arrival"
        )
    memory, n = options.rules.capacity, len(work)
    low, high, expected = _forecast(work)
    numbers = np.array([astuple(row) for row in policy.numbers or ()], dtype=np.float64)
    row = _rows(work, policy)[work.beliefs.index]
    room = np.minimum(np.maximum(memory - work.prompt_tokens, 1), work.max_tokens).astype(np.int64)
    first = numbers[row, FIRST_LOW] * low + numbers[row, FIRST_HIGH] * high
    estimate = np.maximum(np.minimum(first, room), 1.0).astype(np.int64)
    prompt, output, row, room, estimate = (
        column.astype(np.int64) for column in (work.prompt_tokens, work.output_tokens, row, room, estimate)
    )
    begun, kept, attempts, number, limit, gone, end = (np.zeros(n, np.int64) for _ in range(7))
    known = high, np.maximum(expected, 1.0)
    jobs = Jobs(prompt, output, row, room, estimate, begun, kept, attempts, number, limit, gone, end, *known)
    running, waiting, evictable = (np.zeros(n, np.int64) for _ in range(3))
    held, ending, sizes = (np.zeros(int(room.max()) + 2, np.int64) for _ in range(3))
    space = Room(running, waiting, evictable, held, ending, sizes, np.zeros(n), np.zeros(n))
    most, restart = options.rules.max_evictions, options.rules.restart
    return jobs.end if play(jobs, space, numbers, memory, policy.holds, most, options.seed, ties, restart) else None


def _whole(policy: Policy) -> bool:
    """Whether the keys of eviction are whole numbers, so that a fraction added to them orders only equals."""
    rows = policy.numbers or ()
    factors = (float(f) for row in rows for f in (row.keep_admitted, row.keep_estimate, row.keep_live))
    return all(f.is_integer() for f in factors) and not any(row.keep_area for row in rows)


def _known(policy: Policy, work: Workload) -> bool:
    """Whether these are plain numbers of which only the free ones differ, and every forecast is known."""
    rows = policy.numbers or ()
    fixed = [field.name for field in fields(Numbers) if field.name not in FREE]
    same = all(getattr(row, name) == getattr(FIXED, name) for row in rows for name in fixed)
    able = policy.needs <= {Need.EVICT, Need.QUANTUM, Need.RESTART}
    return bool(rows) and able and same and all(forecast.known for forecast in work.beliefs.table)


def _forecast(work: Workload) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Low, high and expected tokens of each request."""
    table = np.array([(f.low, f.high, f.expected) for f in work.beliefs.table], dtype=np.float64)
    low, high, expected = table[work.beliefs.index].T
    return low.copy(), high.copy(), expected.copy()


def _rows(work: Workload, policy: Policy) -> NDArray[np.int64]:
    """Which row of numbers serves each forecast of the table: it depends on the forecast alone."""
    rows = np.zeros(len(work.beliefs.table), dtype=np.int64)
    used, example = np.unique(work.beliefs.index, return_index=True)
    rows[used] = [policy.row(work.job(i).request) for i in example.tolist()]
    return rows

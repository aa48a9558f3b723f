"""The compiled twin of the event loop: it takes policies as plain numbers and knows none by name."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import Batching, SimulationError
from soonest.core.policy import keeps_by_admission
from soonest.sim.host import LATEST
from soonest.sim.kernel import state as k
from soonest.sim.kernel.loop import loop
from soonest.sim.result import GAP_EDGES, NEVER, Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.core import Policy
    from soonest.sim.options import Options
    from soonest.sim.workload import Workload


def run(workload: Workload, policy: Policy, options: Options) -> Result:
    """As `soonest.sim.host.Host(...).run()`, bit for bit, for what `kernel_obstacle` lets pass.

    Raises:
        SimulationError: simulated time ran out.
    """
    conditions = _conditions(policy, options)
    jobs, lanes = _jobs(workload, policy)
    slots = np.zeros(_most_running(workload, options), dtype=k.SLOT)
    slots["free"] = np.arange(len(slots))
    state = k.State(
        reg=np.zeros(1, dtype=k.REGISTERS),
        rows=np.array([astuple(row) for row in policy.numbers or ()], dtype=np.float64),
        jobs=jobs,
        slots=slots,
        order=np.zeros(len(slots), dtype=np.int64),
        stops=np.full(len(slots), k.BIG),
        lanes=lanes,
        room=np.zeros(len(jobs), dtype=k.ROOM),
        hall=np.zeros(len(jobs), dtype=k.HALL),
        phases=np.zeros(options.rules.block_size, dtype=np.int64),
        ends=np.zeros(len(slots) + 1, dtype=k.END),
        edges=GAP_EDGES,
        gaps=np.zeros(len(GAP_EDGES) - 1, dtype=np.int64),
    )
    reg = state.reg[0]
    reg["next_stop"], reg["head"], reg["free"], reg["frozen_now"], reg["frozen_mean"] = (
        k.BIG,
        -1,
        len(slots),
        -np.inf,
        1.0,
    )
    if not loop(state, conditions[0]):
        raise SimulationError(f"simulated time passed {LATEST / 1e12:.0f} s: shorten the trace or the steps")
    return Result(
        workload,
        admitted=jobs["admitted"].copy(),
        first_token=jobs["first_token"].copy(),
        finished=jobs["finished"].copy(),
        evictions=jobs["evictions"].copy(),
        tokens_lost=jobs["lost"].copy(),
        tokens_recomputed=jobs["recomputed"].copy(),
        gap_counts=state.gaps,
        peak_blocks=int(reg["peak"]),
        block_size=options.rules.block_size,
        most_waiting=int(reg["most"]),
        iterations=int(reg["iterations"]),
        events=int(reg["events"]),
    )


def _conditions(policy: Policy, options: Options) -> NDArray[np.void]:
    rules, step = options.rules, options.step_time
    values = {
        "slots": rules.slots or k.BIG,
        "token_budget": rules.token_budget or k.BIG,
        "blocks": rules.blocks or k.BIG,
        "limit": (rules.blocks or k.BIG) - rules.reserve_blocks,
        "block_size": rules.block_size,
        "room": rules.capacity,
        "pace": rules.pace,
        "chunked": rules.chunked_prefill,
        "whole_prompt": rules.whole_prompt,
        "newest_held": int(rules.newest_held),
        "admit_after_evict": rules.admit_after_evict,
        "restart": rules.restart,
        "clear": float(rules.clear),
        "max_evictions": rules.max_evictions,
        "dynamic": rules.batching is Batching.DYNAMIC,
        "timeout": float(rules.timeout),
        "iteration": step.iteration,
        "per_sequence": step.per_sequence,
        "per_prefill_token": step.per_prefill_token,
        "per_context_token": step.per_context_token,
        "startup": step.startup,
        "seed": options.seed,
        "overdue": options.overdue_after is not None,
        "overdue_after": float(options.overdue_after or 0.0),
        "overdue_every": options.overdue_every,
        "holds": policy.holds,
        "reserves": any(row.reserve_estimate for row in policy.numbers or ()),
        "by_admission": keeps_by_admission(policy),
        "latest": LATEST,
    }
    conditions = np.zeros(1, dtype=k.CONDITIONS)
    for name, value in values.items():
        conditions[name] = value
    return conditions


def _jobs(workload: Workload, policy: Policy) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The jobs, and a lane for each slope among them."""
    beliefs, numbers = workload.beliefs, policy.numbers or ()
    _, example = np.unique(beliefs.index, return_index=True)
    rows = np.zeros(len(beliefs.table), dtype=np.int64)
    for i in example.tolist():  # a row depends on the forecast alone
        rows[beliefs.index[i]] = policy.row(workload.job(i).request)
    jobs = np.zeros(len(workload), dtype=k.JOB)
    jobs["arrival"], jobs["seconds"] = workload.arrival_ps, workload.arrival
    jobs["prompt"], jobs["output"], jobs["cap"] = workload.prompt_tokens, workload.output_tokens, workload.max_tokens
    for name in ("known", "low", "high", "expected"):
        jobs[name] = np.array([getattr(f, name) for f in beliefs.table])[beliefs.index]
    jobs["row"] = rows[beliefs.index]
    for name in ("admitted", "first_token", "finished", "last_token"):
        jobs[name] = NEVER
    age, ratio = (np.array([getattr(row, name) for row in numbers], dtype=np.float64) for name in ("age", "ratio"))
    slopes = -(age[jobs["row"]] + ratio[jobs["row"]] / np.maximum(jobs["expected"], 1.0))
    distinct, lane = np.unique(slopes, return_inverse=True)
    jobs["lane"] = np.where(jobs["known"] > 0, lane + 1, 0)
    jobs["place"] = -1
    lanes = np.zeros(len(distinct) + 1, dtype=k.LANE)
    lanes["slope"][1:] = distinct
    lanes["start"][1:] = np.cumsum(np.bincount(jobs["lane"], minlength=len(lanes)))[:-1]
    return jobs, lanes


def _most_running(workload: Workload, options: Options) -> int:
    """An upper bound of how many run at once: each that has started holds at least one block."""
    most = min(len(workload), options.rules.slots or len(workload))
    holds = options.step_time.startup == 0 and (options.rules.newest_held or workload.prompt_tokens.min() > 0)
    return min(most, options.rules.blocks + 2) if options.rules.blocks is not None and holds else most

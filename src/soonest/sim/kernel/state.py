"""The kernel's state: registers for what is one number, columns for jobs, slots, waiting and memory."""

# mypy: disable-error-code="type-arg"
from __future__ import annotations

from typing import NamedTuple

import numpy as np

Conditions = np.record
BIG = 1 << 60

# Columns of a policy's rows, in the order of the fields of `Numbers`.
(
    FIRST_LOW,
    FIRST_HIGH,
    ESTIMATE,
    EXPECTED,
    AGE,
    RATIO,
    RESERVE,
    KEEP_ADMITTED,
    KEEP_ESTIMATE,
    KEEP_LIVE,
    GROW,
    PLUS,
    LIFT,
    QUANTUM_FIRST,
    QUANTUM_HAZARD,
    AREA,
    KEEP_AREA,
) = range(17)

# What a slot is doing.
IN_PREFILL, IN_DECODE, AT_REST = 0, 1, 2


CONDITIONS = np.dtype(
    [
        *((name, np.int64) for name in ("slots", "token_budget", "blocks", "limit", "block_size", "room")),
        *((name, np.bool_) for name in ("chunked", "whole_prompt", "admit_after_evict", "restart", "dynamic")),
        *((name, np.int64) for name in ("newest_held", "max_evictions", "startup", "seed", "overdue_every", "latest")),
        *((name, np.int64) for name in ("iteration", "per_sequence", "per_prefill_token", "per_context_token")),
        *((name, np.float64) for name in ("clear", "timeout", "overdue_after")),
        *((name, np.bool_) for name in ("overdue", "holds", "reserves", "by_admission", "pace")),
    ],
    align=True,
)
"""Rules, step times and options; limits that do not exist are `BIG`. `by_admission`: who was admitted first is kept."""

REGISTERS = np.dtype(
    [
        *((name, np.int64) for name in ("now", "tick", "next_blocks", "spare", "budget", "context", "credit")),
        *((name, np.int64) for name in ("running", "starting", "resting", "starved", "paused", "free", "ends")),
        *((name, np.int64) for name in ("waiting", "pending", "active", "aged", "head", "since", "oldest")),
        *((name, np.int64) for name in ("arrived", "admissions", "ended", "done", "done_tokens")),
        *(
            (name, np.int64)
            for name in ("dirty", "evicted", "forming", "start", "steps", "first", "growth", "next_stop", "bin")
        ),
        *((name, np.int64) for name in ("peak", "most", "iterations", "events")),
        *((name, np.float64) for name in ("frozen_now", "frozen_mean")),
    ],
    align=True,
)
"""Everything that is one number: the engine's, the queue's, the host's and the tally's."""

JOB = np.dtype(
    [
        *((name, np.int64) for name in ("arrival", "prompt", "output", "cap", "known", "row")),
        *((name, np.float64) for name in ("seconds", "low", "high", "expected")),
        *((name, np.int64) for name in ("estimate", "generated", "attempts", "number", "lane", "place", "is_aged")),
        *((name, np.int64) for name in ("admitted", "first_token", "finished", "last_token")),
        *((name, np.int64) for name in ("evictions", "lost", "recomputed")),
    ],
    align=True,
)
"""A job: what is known, what is true, where it waits (`place` in the heap of its `lane`), and what happened."""

SLOT = np.dtype(
    [
        *((name, np.int64) for name in ("job", "doing", "born", "startup", "prefill", "computed", "limit")),
        *((name, np.int64) for name in ("kept", "paid", "grant", "spare", "offset", "end", "paused", "starved")),
        ("keep", np.float64),
        ("starter", np.int64),
        ("free", np.int64),
    ],
    align=True,
)
"""A running request, as `soonest.sim.host.batch.Member`. `starter` lists those in startup or prefill, `free`
the empty slots."""

LANE = np.dtype(
    [*((n, np.int64) for n in ("start", "size", "active", "active_place")), ("slope", np.float64)], align=True
)
"""A heap of waiting jobs with one slope; lane 0 holds the unknown. `active` lists the lanes in use."""

ROOM = np.dtype([("base", np.float64), ("heap", np.int64)], align=True)
"""Places for as many jobs as there are: the lanes' heaps of jobs by base, side by side."""

HALL = np.dtype([("pending", np.int64), ("aged", np.int64)])
"""As many places again: jobs pushed since the last `reorder`, and a heap of jobs by arrival for the overdue lane."""

END = np.dtype([("end", np.int64), ("owner", np.int64)])
"""A predicted end and its slot, kept sorted."""


class State(NamedTuple):
    """All of it: arrays of the records above; `rows` of policy coefficients; the running slots in `order`, and the tick
    at which each slot stops; how many hold a multiple of the block size at each of its `phases`; gap counts.
    """  # noqa: D205 - one thought

    reg: np.ndarray
    rows: np.ndarray
    jobs: np.ndarray
    slots: np.ndarray
    order: np.ndarray
    stops: np.ndarray
    lanes: np.ndarray
    room: np.ndarray
    hall: np.ndarray
    phases: np.ndarray
    ends: np.ndarray
    edges: np.ndarray
    gaps: np.ndarray

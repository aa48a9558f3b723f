"""What a simulation leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import OUTCOMES, Outcome, Records
from soonest.sim.workload import PICOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.sim.workload import Workload

GAP_EDGES = np.concatenate(([0], np.unique(np.rint(1e6 * 1.01 ** np.arange(2600)).astype(np.int64)), [1 << 62]))
"""Picoseconds: bins of 1 % relative width from a microsecond to two days, for gaps between tokens."""
NEVER = -1
"""The time of what did not happen."""


@dataclass(frozen=True, eq=False)
class Result:
    """Columns of shape (n,) in job order; times are int64 picoseconds, `NEVER` where nothing happened.

    `gap_counts` counts the gaps between tokens by `GAP_EDGES`; `peak_blocks` is the most memory held in an iteration,
    `most_waiting` the longest queue; `iterations` counts engine iterations and `events` the moments at which the
    simulator had to look. `engine` is where a router sent each job; `None` without one.
    """

    workload: Workload
    admitted: NDArray[np.int64]
    first_token: NDArray[np.int64]
    finished: NDArray[np.int64]
    evictions: NDArray[np.int64]
    tokens_lost: NDArray[np.int64]
    tokens_recomputed: NDArray[np.int64]
    gap_counts: NDArray[np.int64]
    peak_blocks: int
    block_size: int
    most_waiting: int
    iterations: int
    events: int
    engine: NDArray[np.int64] | None = None

    @property
    def peak_memory(self) -> int:
        """The most KV cache held in an iteration, in tokens, rounded up to blocks."""
        return self.peak_blocks * self.block_size

    @property
    def total_latency(self) -> float:
        """Total end-to-end latency, in seconds: the sum of completion less arrival over finished jobs."""
        done = self.finished != NEVER
        return float(((self.finished - self.workload.arrival_ps)[done] / PICOSECONDS).sum())

    @property
    def gap_edges(self) -> NDArray[np.float64]:
        """The edges that `gap_counts` counts between, in seconds: `Gaps(result.gap_edges, result.gap_counts)`."""
        return GAP_EDGES / PICOSECONDS

    @cached_property
    def records(self) -> Records:
        """Times in seconds, for every report."""
        done = self.finished != NEVER
        work = self.workload
        return Records(
            id=np.arange(len(work)).astype(np.str_),
            arrival=work.arrival_ps / PICOSECONDS,
            admitted=_seconds(self.admitted),
            first_token=_seconds(self.first_token),
            finished=_seconds(self.finished),
            prompt_tokens=work.prompt_tokens,
            output_tokens=work.output_tokens,
            evictions=self.evictions,
            tokens_lost=self.tokens_lost,
            tokens_recomputed=self.tokens_recomputed,
            tenant=work.tenant,
            outcome=np.where(done, OUTCOMES.index(Outcome.FINISHED), OUTCOMES.index(Outcome.ABORTED)).astype(np.int8),
        )


def _seconds(times: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(times == NEVER, np.nan, times / PICOSECONDS)

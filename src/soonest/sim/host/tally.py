"""What happened to each job, written down while it happens."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from soonest.core.queue.waiting import PRIOR_TOKENS
from soonest.sim.result import GAP_EDGES, NEVER, Result

if TYPE_CHECKING:
    from soonest.core import Rules
    from soonest.sim.live import Forecaster
    from soonest.sim.workload import Workload

_EDGES = GAP_EDGES.tolist()


class Tally:
    """Lists by job while the simulation runs; a `Result` at the end."""

    def __init__(self, workload: Workload, rules: Rules, forecaster: Forecaster | None = None) -> None:
        n = len(workload)
        self.forecaster = forecaster
        self.workload = workload
        self.block_size = rules.block_size
        self.admitted = [NEVER] * n
        self.first_token = [NEVER] * n
        self.finished = [NEVER] * n
        self.last_token = [NEVER] * n
        self.evictions = [0] * n
        self.tokens_lost = [0] * n
        self.tokens_recomputed = [0] * n
        self.ended = self.answers = self.answered_tokens = 0
        self.gap_counts = [0] * (len(_EDGES) - 1)
        self.peak_blocks = 0
        self.most_waiting = 0
        self.iterations = 0
        self.events = 0

    @property
    def mean_tokens(self) -> float:
        """The mean length of finished answers, or what stands for it before the first."""
        return self.answered_tokens / self.answers if self.answers else PRIOR_TOKENS

    def end(self, job: int, tokens: int, *, censored: bool) -> None:
        """An answer ended, or was given up; who forecast it hears of it."""
        self.ended += 1
        if not censored:
            self.answers += 1
            self.answered_tokens += tokens
        if self.forecaster is not None:
            self.forecaster.ended(job, tokens, censored)

    def emitted(self, job: int, now: int) -> None:
        """A token after a pause, or the first."""
        if self.first_token[job] == NEVER:
            self.first_token[job] = now
        else:
            self.gap(now - self.last_token[job])
        self.last_token[job] = NEVER

    def paused(self, job: int, now: int) -> None:
        """The last token came at `now`, unless it came before an earlier pause."""
        if self.last_token[job] == NEVER:
            self.last_token[job] = now

    def gap(self, gap: int, count: int = 1) -> None:
        """Count gaps of this many picoseconds."""
        self.gap_counts[bisect_right(_EDGES, gap) - 1] += count

    def gaps(self, first: int, growth: int, steps: int, sequences: int) -> None:
        """Count the gaps of `steps` iterations of length first, first + growth, ... in each of `sequences`."""
        while steps > 0:
            i = bisect_right(_EDGES, first) - 1
            inside = steps if growth == 0 else min(steps, -(-(_EDGES[i + 1] - first) // growth))
            self.gap_counts[i] += inside * sequences
            steps -= inside
            first += inside * growth

    def result(self) -> Result:
        """The columns."""
        columns = ("admitted", "first_token", "finished", "evictions", "tokens_lost", "tokens_recomputed", "gap_counts")
        return Result(
            self.workload,
            **{name: np.array(getattr(self, name), dtype=np.int64) for name in columns},
            peak_blocks=self.peak_blocks,
            block_size=self.block_size,
            most_waiting=self.most_waiting,
            iterations=self.iterations,
            events=self.events,
        )

"""What a run of load leaves behind, in records and in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import OUTCOMES, Records
from soonest.report import Gaps, summarise

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.bench.answer import Answer
    from soonest.report import Summary

TIMES = ("arrival", "admitted", "first_token", "finished")
INVISIBLE = ("evictions", "preempted_percent", "tokens_lost", "tokens_recomputed")
"""What a client cannot see."""
LATE_SHARE = 0.05
"""A run is late where the 99th percentile of its generator's lateness is more than this share of the mean JCT."""


@dataclass(frozen=True, eq=False)
class Ran:
    """Answers in the order of departure, whole or failed; `start` is the run's zero on the client's clock.

    `interrupted`: it was stopped, so the rest never left. `open`: departures waited for nothing.
    """

    answers: Sequence[Answer]
    start: float
    interrupted: bool = False
    open: bool = True

    @cached_property
    def records(self) -> Records:
        """Times in seconds from the start."""
        records = Records.of(answer.record() for answer in self.answers)
        return replace(records, **{name: getattr(records, name) - self.start for name in TIMES})

    @cached_property
    def gaps(self) -> Gaps:
        """The gaps between events of finished answers, pooled."""
        gaps = [later - sooner for answer in self.answers if answer.done for sooner, later in pairwise(answer.times)]
        return Gaps.geometric(1e-6).add(np.array(gaps, dtype=np.float64))

    @cached_property
    def lateness(self) -> NDArray[np.float64]:
        """Seconds by which each call left after its time: the generator's own fault."""
        return np.array([answer.start - answer.due for answer in self.answers], dtype=np.float64)

    @property
    def reasons(self) -> Counter[str]:
        """Why calls failed, and how many."""
        return Counter(answer.reason for answer in self.answers if answer.reason is not None)

    def told(self) -> str:
        """The same in a line."""
        return ", ".join(f"{count} x {reason}" for reason, count in self.reasons.most_common()) or "nothing was sent"

    @property
    def uncounted(self) -> int:
        """Finished answers whose tokens the endpoint did not count, so that events stand for them."""
        return sum(answer.done and answer.counted is None for answer in self.answers)

    def finished(self) -> set[int]:
        """The calls whose answers came whole."""
        return {answer.call for answer in self.answers if answer.done}

    def only(self, calls: Collection[int]) -> Ran:
        """What became of these calls."""
        return replace(self, answers=[answer for answer in self.answers if answer.call in calls])

    def lengths(self) -> dict[int, int]:
        """Tokens of each finished answer by its call."""
        return {answer.call: answer.output_tokens for answer in self.answers if answer.done}

    def is_late(self, share: float = LATE_SHARE) -> bool:
        """Whether the generator was so late that the latencies are not the endpoint's alone."""
        done = self.records.done
        if not done.any():
            return False
        mean = float((self.records.finished - self.records.arrival)[done].mean())
        return bool(np.percentile(self.lateness, 99) > share * mean)

    def summary(
        self,
        *,
        alone: Alone | None = None,
        slos: Mapping[str, float] | None = None,
        percentiles: Sequence[float] = (90, 99),
        late_share: float = LATE_SHARE,
    ) -> Summary:
        """All measures of `soonest.report`, vLLM's two peaks, and how late the generator was."""
        records = self.records
        service = None if alone is None else alone.service(records)
        late = 1e3 * self.lateness
        return {
            **summarise(records, gaps=self.gaps, service=service, slos=slos, percentiles=percentiles),
            **dict.fromkeys(INVISIBLE),
            "max_concurrent_requests": self._most_at_once(),
            "max_output_tokens_per_s": self._most_a_second(),
            "mean_lateness_ms": float(late.mean()) if len(late) else None,
            "p99_lateness_ms": float(np.percentile(late, 99)) if len(late) else None,
            "max_lateness_ms": float(late.max()) if len(late) else None,
            "late": int(self.is_late(late_share)),
        }

    def details(self) -> dict[str, list[object]]:
        """A list each under the keys of `vllm bench serve --save-detailed`, one item a call, and ours; seconds."""
        records = self.records
        spoken = [answer.times if answer.done else [] for answer in self.answers]
        return {
            "input_lens": records.prompt_tokens.tolist(),
            "output_lens": records.output_tokens.tolist(),
            "ttfts": np.nan_to_num(records.first_token - records.arrival).tolist(),
            "itls": [[later - sooner for sooner, later in pairwise(times)] for times in spoken],
            "start_times": records.arrival.tolist(),
            "errors": [answer.reason or "" for answer in self.answers],
            "e2els": (records.finished - records.arrival).tolist(),
            "queue_times": (records.admitted - records.arrival).tolist(),
            "lateness": self.lateness.tolist(),
            "outcomes": [OUTCOMES[outcome].value for outcome in records.outcome],
        }

    def _most_at_once(self) -> int:
        starts = np.sort([answer.start for answer in self.answers])
        ends = np.sort([answer.last if answer.done else answer.start for answer in self.answers])
        if not len(starts):
            return 0
        return int((np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="left")).max())

    def _most_a_second(self) -> float | None:
        times = [t - self.start for answer in self.answers if answer.done for t in answer.times]
        return float(np.bincount(np.maximum(np.array(times), 0).astype(np.int64)).max()) if times else None


@dataclass(frozen=True, slots=True)
class Alone:
    """How fast the endpoint is for one call at a time: what `slowdown` compares with.

    Seconds to the first token, and seconds for each token after it.
    """

    first: float
    token: float

    @classmethod
    def of(cls, ran: Ran) -> Alone | None:
        """From calls that were sent one after another; `None` where none of them ended."""
        records = ran.records
        done = records.done
        if not done.any():
            return None
        first = float(np.median((records.first_token - records.arrival)[done]))
        later = int((records.output_tokens[done] - 1).clip(0).sum())
        spoken = float((records.finished - records.first_token)[done].sum())
        return cls(first, spoken / later if later else 0.0)

    def service(self, records: Records) -> NDArray[np.float64]:
        """Seconds that each call would take alone."""
        return np.asarray(self.first + self.token * (records.output_tokens - 1).clip(0), dtype=np.float64)


def sustained(ran: Ran) -> float:
    """Requests a second that an endpoint ends while it is kept full, from a closed loop.

    Output tokens heard until the last call left, a second, over the mean answer's tokens. Counting tokens and not
    answers, what is under way at that moment counts for what it has said, and the drain not at all.
    """
    done = [answer for answer in ran.answers if answer.done and answer.times and answer.output_tokens]
    if not done:
        return float("nan")
    full = max(answer.start for answer in ran.answers)
    first = min(answer.start for answer in ran.answers)
    mean = sum(answer.output_tokens for answer in done) / len(done)
    if full > first:
        heard = sum(a.output_tokens * sum(t <= full for t in a.times) / len(a.times) for a in done)
        if heard > 0.5 * mean * len(done):
            return heard / (full - first) / mean
    return len(done) / (max(answer.last for answer in done) - first)  # too few calls for a full stretch

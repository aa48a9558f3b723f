"""What is counted for one model: plain numbers, written by the event loop alone."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from typing import TYPE_CHECKING

from soonest.core import Outcome
from soonest.gateway.observe.catalogue import METRICS

if TYPE_CHECKING:
    from soonest.core import Forecast, Record

LAST_ANSWERS = 1000
MOST_REASONS = 32
LONGEST_LABEL = 128
OTHER = "other"
REFUSED = "refused"
NOT_ITS_OWN = frozenset({401, 403, 408, 429})
"""What a request is told for want of a key, which may be the gateway's, of time, or of room."""
ENDED = {Outcome.CANCELLED: "abort", Outcome.ABORTED: "abort", Outcome.FAILED: "error", Outcome.REJECTED: "error"}


def fit(label: str) -> bool:
    """Whether a word that came from outside may be a label: one short line, and no half of a character."""
    return len(label) <= LONGEST_LABEL and label.isprintable()


class Histogram:
    """Counts in buckets, of which each has an upper bound; the last has none."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, name: str) -> None:
        self._bounds = METRICS[name].buckets
        self.counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """Count a value, or `count` equal ones."""
        self.counts[bisect_left(self._bounds, value)] += count
        self.total += value * count

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds as text, and how many values did not exceed them."""
        heads = [*map(str, self._bounds), "+Inf"]
        total, rows = 0, []
        for head, count in zip(heads, list(self.counts), strict=True):
            total += count
            rows.append((head, float(total)))
        return rows


class Reasons:
    """A count for each reason; beyond 32 of them, and those that are no words, are one."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """Count a reason."""
        counts = self.counts
        if reason not in counts and (len(counts) >= MOST_REASONS or not fit(reason)):
            reason = OTHER
        counts[reason] += 1


class Coverage:
    """The share of the last answers that lay inside the interval that was promised, and the share that was promised."""

    __slots__ = ("_inside", "_last", "_promises", "answers")

    def __init__(self) -> None:
        self._last: deque[bool] = deque(maxlen=LAST_ANSWERS)
        self._promises: deque[float] = deque(maxlen=LAST_ANSWERS)
        self._inside = 0
        self.answers = 0

    def __len__(self) -> int:
        """How many answers it tells of."""
        return len(self._last)

    def add(self, inside: bool, promise: float) -> None:  # noqa: FBT001 - the one thing that it counts
        """One more answer, and its chance to be inside as it was promised; the oldest is forgotten."""
        if len(self._last) == LAST_ANSWERS:
            self._inside -= self._last[0]
        self._last.append(inside)
        self._promises.append(promise)
        self._inside += inside
        self.answers += 1

    @property
    def ratio(self) -> float | None:
        """None until an interval was promised."""
        return self._inside / len(self._last) if self._last else None

    @property
    def promised(self) -> float | None:
        """What `ratio` is to be: the mean promise of the same answers. None until an interval was promised."""
        return math.fsum(self._promises) / len(self._promises) if self._promises else None


class Series:
    """The metrics of one model. One method an event in a request's life; all times in seconds."""

    def __init__(self) -> None:
        self.queue_time = Histogram("soonest_request_queue_time_seconds")
        self.time_to_first_token = Histogram("soonest_time_to_first_token_seconds")
        self.inter_token_latency = Histogram("soonest_inter_token_latency_seconds")
        self.time_per_output_token = Histogram("soonest_request_time_per_output_token_seconds")
        self.e2e_latency = Histogram("soonest_e2e_request_latency_seconds")
        self.prompt_tokens = Histogram("soonest_request_prompt_tokens")
        self.generation_tokens = Histogram("soonest_request_generation_tokens")
        self.overtakes = Histogram("soonest_request_overtakes")
        self.forecast_seconds = Histogram("soonest_forecast_seconds")
        self.forecast_error = Histogram("soonest_forecast_error_tokens")
        self.prompt_error = Histogram("soonest_prompt_estimate_error_ratio")
        self.success, self.rejections, self.fallbacks = Reasons(), Reasons(), Reasons()
        self.coverage = Coverage()
        self.retries = 0

    def forecast_made(self, seconds: float) -> None:
        """A forecast was ready after so long."""
        self.forecast_seconds.observe(seconds)

    def fallback(self, reason: str) -> None:
        """A request goes on without a forecast."""
        self.fallbacks.add(reason)

    def rejected(self, reason: str) -> None:
        """The gateway answered with an error of its own."""
        self.rejections.add(reason)

    def admitted(self, queue_seconds: float, overtaken: int) -> None:
        """A request was given to an engine, after `overtaken` later ones."""
        self.queue_time.observe(queue_seconds)
        self.overtakes.observe(overtaken)

    def retried(self) -> None:
        """A request goes to another engine."""
        self.retries += 1

    def first_token(self, seconds: float) -> None:
        """The first token came so long after the request's arrival."""
        self.time_to_first_token.observe(seconds)

    def gap(self, seconds: float, events: int = 1) -> None:
        """So many events came together, so long after the one before them."""
        self.inter_token_latency.observe(seconds / events, events)

    def prompt_estimated(self, estimated: float, actual: int) -> None:
        """The engine counted a prompt whose tokens had been estimated."""
        self.prompt_error.observe(abs(estimated - actual) / max(actual, 1))

    def ended(
        self, record: Record, finish_reason: str | None = None, forecast: Forecast | None = None, status: int = 0
    ) -> None:
        """A request that was admitted is over, one way or another; only finished ones have latencies and lengths.

        `status` is what the client was told; it says whether a request that failed was to blame itself.
        """
        if record.outcome is not Outcome.FINISHED:
            blamed = record.outcome is Outcome.FAILED and 400 <= status < 500 and status not in NOT_ITS_OWN
            self.success.add(REFUSED if blamed else ENDED[record.outcome])
            return
        self.success.add(finish_reason or "stop")
        tokens = record.output_tokens
        self.e2e_latency.observe(record.finished - record.arrival)
        self.prompt_tokens.observe(record.prompt_tokens)
        self.generation_tokens.observe(tokens)
        if tokens > 1 and not math.isnan(record.first_token):
            self.time_per_output_token.observe((record.finished - record.first_token) / (tokens - 1))
        if forecast is not None and forecast.known:
            self._compare(forecast, tokens, cut=finish_reason == "length")

    def _compare(self, forecast: Forecast, tokens: int, *, cut: bool) -> None:
        """An answer cut at its limit says only that it would have been at least as long."""
        error = tokens - forecast.expected
        self.forecast_error.observe(max(error, 0.0) if cut else abs(error))
        if forecast.coverage is not None:
            self.coverage.add(inside(forecast, tokens, cut=cut), forecast.coverage)


def inside(forecast: Forecast, tokens: int, *, cut: bool) -> bool:
    """Whether an answer lay in the interval that was promised; one cut at its limit would have been longer."""
    return tokens <= forecast.high and (cut or tokens >= forecast.low)

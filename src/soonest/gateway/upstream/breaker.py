"""A circuit breaker: an engine that fails again and again is left alone, and looked after."""

from __future__ import annotations

import math


class Breaker:
    """Opens after `limit` failures in a row; then only probes count, each after twice the wait of the last.

    Requests that fail and looks that fail count together. A request that is answered ends the row; a look that is well
    ends only that of looks, for an engine that fails its requests may look well.

    Times are seconds on any clock that never goes back.
    """

    __slots__ = ("_due", "_wait", "failures", "first", "limit", "longest", "missed", "open")

    def __init__(self, limit: int = 3, first: float = 0.5, longest: float = 30.0) -> None:
        self.limit = limit
        self.first = first
        self.longest = longest
        self.open = False
        self.failures = 0  # of requests, in a row
        self.missed = 0  # looks that failed, in a row
        self._wait = first
        self._due = math.inf

    def failed(self, now: float) -> None:
        """A request could not be served; late news of an open breaker change nothing."""
        self.failures += 1
        self._judge(now)

    def succeeded(self) -> None:
        """A request was answered."""
        if not self.open:
            self.failures = self.missed = 0

    def looked(self, now: float, *, well: bool) -> None:
        """Somebody looked at the engine while it takes requests."""
        self.missed = 0 if well else self.missed + 1
        self._judge(now)

    def wait(self, now: float) -> float:
        """Seconds until the next probe; infinite while closed."""
        return max(0.0, self._due - now)

    def probed(self, now: float, *, well: bool) -> None:
        """A probe of the engine's health came back."""
        if well:
            self.open, self.failures, self.missed, self._due = False, 0, 0, math.inf
        elif self.open:
            self._wait = min(self.longest, 2 * self._wait)
            self._due = now + self._wait

    def _judge(self, now: float) -> None:
        if not self.open and self.failures + self.missed >= self.limit:
            self.open, self._wait = True, self.first
            self._due = now + self._wait

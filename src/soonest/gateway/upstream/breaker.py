"""A circuit breaker: an engine that fails again and again is left alone, and looked after."""

from __future__ import annotations

import math


class Breaker:
    """Opens after `limit` failures in a row; then only probes count, each after twice the wait of the last.

    Times are seconds on any clock that never goes back.
    """

    __slots__ = ("_due", "_wait", "failures", "first", "limit", "longest", "open")

    def __init__(self, limit: int = 3, first: float = 0.5, longest: float = 30.0) -> None:
        self.limit = limit
        self.first = first
        self.longest = longest
        self.open = False
        self.failures = 0  # in a row
        self._wait = first
        self._due = math.inf

    def failed(self, now: float) -> None:
        """A request could not be served; late news of an open breaker change nothing."""
        self.failures += 1
        if not self.open and self.failures >= self.limit:
            self.open, self._wait = True, self.first
            self._due = now + self._wait

    def succeeded(self) -> None:
        """A request was answered."""
        if not self.open:
            self.failures = 0

    def wait(self, now: float) -> float:
        """Seconds until the next probe; infinite while closed."""
        return max(0.0, self._due - now)

    def probed(self, now: float, *, well: bool) -> None:
        """A probe of the engine's health came back."""
        if well:
            self.open, self.failures, self._due = False, 0, math.inf
        elif self.open:
            self._wait = min(self.longest, 2 * self._wait)
            self._due = now + self._wait

"""How much one key may ask for: a token bucket and a number of places, with time as an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.gateway.access.errors import TooMany

if TYPE_CHECKING:
    from soonest.gateway.access.keys import Key

FOREVER = float("-inf")
SLACK = 1e-6
"""Of a request: rounding must not turn away the last one of a burst."""
PLACE_AGAIN_SECONDS = 1.0
"""When to try again while all places are taken: nobody knows when one falls free."""


class Bucket:
    """At most `burst` requests at once and `rate` a second in the long run.

    The state is the time until the bucket is full again, and when that was so (the generic cell rate algorithm).
    """

    __slots__ = ("_allowance", "_at", "_interval", "_missing")

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._allowance = (burst - 1) * self._interval
        self._missing = 0.0
        self._at = FOREVER

    def take(self, now: float) -> float:
        """Seconds until a request may come in: 0 if it may now, and then it is counted."""
        missing = self._missing_at(now)
        wait = missing - self._allowance
        if wait > SLACK * self._interval:
            return wait
        self._missing, self._at = missing + self._interval, max(self._at, now)
        return 0.0

    def inherit(self, other: Bucket, now: float) -> None:
        """Begin with as many requests counted as `other` has."""
        self._missing, self._at = other._missing_at(now) / other._interval * self._interval, now

    def _missing_at(self, now: float) -> float:
        return max(self._missing - max(now - self._at, 0.0), 0.0)


class Account:
    """What one key is using now; it outlives a reload of the key file."""

    __slots__ = ("bucket", "in_flight", "key")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.in_flight = 0
        self.bucket = _bucket(key)

    def change(self, key: Key, now: float) -> None:
        """Go on under other limits, with what was counted."""
        before, self.key, self.bucket = self.bucket, key, _bucket(key)
        if before is not None and self.bucket is not None:
            self.bucket.inherit(before, now)

    def enter(self, now: float) -> None:
        """Count a request in, or say when to come again. A request that finds no place costs none of the rate."""
        most = self.key.concurrency
        if most is not None and self.in_flight >= most:
            raise TooMany("concurrency", PLACE_AGAIN_SECONDS)
        if self.bucket is not None and (wait := self.bucket.take(now)) > 0:
            raise TooMany("rate", wait)
        self.in_flight += 1


def _bucket(key: Key) -> Bucket | None:
    return None if key.rate is None else Bucket(key.rate, key.burst)

"""How much one key may ask for: a token bucket and a number of places, with time as an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.gateway.access.errors import TooMany

if TYPE_CHECKING:
    from soonest.gateway.access.keys import Key

FOREVER = float("-inf")
PLACE_AGAIN_SECONDS = 1.0
"""When to try again while all places are taken: nobody knows when one falls free."""


class Bucket:
    """At most `burst` requests at once and `rate` a second in the long run.

    One number is the whole state: the time at which the bucket will be full again (the generic cell rate algorithm).
    """

    __slots__ = ("_allowance", "_interval", "full_at")

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._allowance = (burst - 1) * self._interval
        self.full_at = FOREVER

    def take(self, now: float) -> float:
        """Seconds until a request may come in: 0 if it may now, and then it is counted."""
        full_at = max(self.full_at, now)
        wait = full_at - now - self._allowance
        if wait > 0:
            return wait
        self.full_at = full_at + self._interval
        return 0.0

    def inherit(self, other: Bucket, now: float) -> None:
        """Begin with as many requests counted as `other` has."""
        if other.full_at > now:
            self.full_at = now + (other.full_at - now) / other._interval * self._interval


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

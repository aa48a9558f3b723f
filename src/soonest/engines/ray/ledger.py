"""How many tokens each replica is expected to have left, and how long it takes over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

FADE: Final = 0.97
"""What an ended request weighs in a replica's pace beside the next one."""
PRIOR: Final = 10
"""Requests' worth of the fleet's pace that a replica's own begins with: a few odd answers make nobody slow."""
SLOWEST: Final = 8.0
"""A replica counts as at most so many times as slow, or as quick, as the fleet."""
MANY: Final = 1024
"""Requests without a forecast expect the mean of about so many with one."""


@dataclass(slots=True, eq=False)
class Booking:
    """A request at a replica: tokens that it expects, since when, and how many were expected there with it."""

    request: str
    replica: Hashable
    tokens: float
    since: float
    ahead: float


@dataclass(slots=True)
class _Account:
    """One replica's bookings, their tokens, and for its pace the seconds and the tokens of ended requests."""

    booked: dict[Booking, None] = field(default_factory=dict)
    tokens: float = 0.0
    seconds: float = 0.0
    taken: float = 0.0

    def add(self, booking: Booking) -> None:
        self.booked[booking] = None
        self.tokens += booking.tokens

    def remove(self, booking: Booking) -> None:
        del self.booked[booking]
        self.tokens = self.tokens - booking.tokens if self.booked else 0.0  # no rounding stays behind


class Ledger:
    """Expected tokens outstanding at each replica, by the requests that one router sent there.

    A request is booked when its replica is chosen, moved if it went elsewhere, and taken off when it ends, however it
    ends. A replica that is lost takes its bookings along. What other routers sent shows in the replica's own count of
    requests.

    A replica's pace is seconds a token: how long ended requests took over the tokens that were outstanding with them
    when they came, so that a loaded replica is not taken for a slow one.
    """

    def __init__(self, replicas: Iterable[Hashable] = ()) -> None:
        self._accounts: dict[Hashable, _Account] = {replica: _Account() for replica in replicas}
        self._mean, self._seen = 1.0, 0

    @property
    def replicas(self) -> frozenset[Hashable]:
        """Those that may be sent to."""
        return frozenset(self._accounts)

    def keep(self, replicas: Iterable[Hashable]) -> None:
        """These are the replicas now: new ones begin empty, and lost ones are forgotten."""
        self._accounts = {replica: self._accounts.get(replica) or _Account() for replica in replicas}

    def lost(self, replica: Hashable) -> None:
        """A replica died; what it was to do is somebody else's now, who books it again."""
        self._accounts.pop(replica, None)

    def expected(self, tokens: float | None) -> float:
        """What a request of so many expected tokens is booked as; one without a forecast as the mean of the others."""
        if tokens is None:
            return self._mean
        tokens = max(1.0, tokens)
        self._seen = min(self._seen + 1, MANY)
        self._mean += (tokens - self._mean) / self._seen
        return tokens

    def book(self, request: str, replica: Hashable, tokens: float, now: float) -> Booking:
        """Count a request to a replica; one that is not known holds nothing."""
        account = self._accounts.get(replica)
        booking = Booking(request, replica, tokens, now, tokens + (account.tokens if account else 0.0))
        if account is not None:
            account.add(booking)
        return booking

    def move(self, booking: Booking, replica: Hashable, now: float) -> Booking:
        """It went to this replica; the same booking where it did."""
        if booking.replica == replica and self.holds(booking):
            return booking
        self.cancel(booking)
        return self.book(booking.request, replica, booking.tokens, now)

    def cancel(self, booking: Booking) -> None:
        """It goes nowhere."""
        if self.holds(booking):
            self._accounts[booking.replica].remove(booking)

    def ended(self, request: str, replica: Hashable, now: float) -> bool:
        """A request ended at a replica, well or not: the oldest of that name there. Whether there was one."""
        account = self._accounts.get(replica)
        found = next((b for b in account.booked if b.request == request), None) if account else None
        if account is None or found is None:
            return False
        account.remove(found)
        account.seconds = FADE * account.seconds + max(0.0, now - found.since)
        account.taken = FADE * account.taken + found.ahead
        return True

    def holds(self, booking: Booking) -> bool:
        """Whether it is still counted."""
        account = self._accounts.get(booking.replica)
        return account is not None and booking in account.booked

    def count(self, replica: Hashable) -> int:
        """Requests booked at a replica."""
        account = self._accounts.get(replica)
        return 0 if account is None else len(account.booked)

    def outstanding(self, replica: Hashable, ongoing: int | None = None) -> float:
        """Tokens that a replica is expected to have left.

        `ongoing` is its own count of requests, where it is known: those beyond the booked are other routers', and count
        as the mean. A smaller one is out of date, since what is booked has not ended.
        """
        account = self._accounts.get(replica)
        if account is None:
            return 0.0
        others = 0 if ongoing is None else max(0, ongoing - len(account.booked))
        return account.tokens + others * self._mean

    def slowness(self, replica: Hashable) -> float:
        """Its pace over the fleet's: 2 is half as quick. 1 where nothing is known."""
        seconds = sum(account.seconds for account in self._accounts.values())
        taken = sum(account.taken for account in self._accounts.values())
        own = self._accounts.get(replica)
        if own is None or not (seconds > 0 and taken > 0):
            return 1.0
        fleet, prior = seconds / taken, PRIOR * self._mean
        found = (own.seconds + prior * fleet) / (own.taken + prior) / fleet
        return min(max(found, 1 / SLOWEST), SLOWEST)

    def work(
        self, replica: Hashable, tokens: float, ongoing: int | None = None, before: Booking | None = None
    ) -> float:
        """What a request of so many tokens would find before it and bring along, in tokens of the fleet's pace.

        `before` is its booking, if it has one already: at that replica it counts once.
        """
        there = before is not None and before.replica == replica and self.holds(before)
        return (self.outstanding(replica, ongoing) + (0.0 if there else tokens)) * self.slowness(replica)

"""How many requests each replica has left, and how many tokens these are expected to give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

MANY: Final = 1024
"""Requests without a forecast expect the mean of about so many with one."""
LONGEST: Final = 3600.0
"""Seconds after which a booking is forgotten: not every end is told."""


class Load(NamedTuple):
    """What a replica has to do, the more important first: requests, and tokens that they are expected to give."""

    requests: int
    tokens: float


@dataclass(slots=True, eq=False)
class Booking:
    """A request at a replica: its expected tokens, since when it stands there, and whether it was sent."""

    request: str
    replica: Hashable
    tokens: float
    since: float
    sent: bool = False


@dataclass(slots=True)
class _Account:
    """One replica's bookings, the oldest first, their tokens, and how many of them were sent."""

    booked: dict[Booking, None] = field(default_factory=dict)
    tokens: float = 0.0
    sent: int = 0

    def add(self, booking: Booking) -> None:
        self.booked[booking] = None
        self.tokens += booking.tokens

    def remove(self, booking: Booking) -> None:
        del self.booked[booking]
        self.sent -= booking.sent
        self.tokens = self.tokens - booking.tokens if self.booked else 0.0  # no rounding stays behind


class Ledger:
    """Requests outstanding at each replica and their expected tokens, as far as one router sent them there.

    A request is booked when its replica is chosen, moved if it went elsewhere, and taken off when it ends, however it
    ends. A replica that is lost takes its bookings along. What other routers sent shows in the replica's own count of
    requests. Times are seconds on any clock that does not go back.
    """

    def __init__(self, replicas: Iterable[Hashable] = ()) -> None:
        self._accounts: dict[Hashable, _Account] = {replica: _Account() for replica in replicas}
        self.mean, self._seen = 1.0, 0

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
            return self.mean
        tokens = max(1.0, tokens)
        self._seen = min(self._seen + 1, MANY)
        self.mean += (tokens - self.mean) / self._seen
        return tokens

    def book(self, request: str, replica: Hashable, tokens: float, now: float) -> Booking:
        """Count a request to a replica; one that is not known holds nothing."""
        booking = Booking(request, replica, tokens, now)
        if account := self._accounts.get(replica):
            account.add(booking)
        return booking

    def move(self, booking: Booking, replica: Hashable, now: float) -> Booking:
        """It went to this replica; the same booking where it did."""
        if booking.replica == replica and self.holds(booking):
            return booking
        self.cancel(booking)
        return self.book(booking.request, replica, booking.tokens, now)

    def sent(self, booking: Booking) -> None:
        """It is on its way: from now on the replica's own count has it too."""
        if self.holds(booking) and not booking.sent:
            booking.sent = True
            self._accounts[booking.replica].sent += 1

    def cancel(self, booking: Booking) -> None:
        """It goes nowhere."""
        if self.holds(booking):
            self._accounts[booking.replica].remove(booking)

    def ended(self, request: str, replica: Hashable) -> None:
        """A request ended at a replica, well or not: the oldest of that name there, if there is one."""
        account = self._accounts.get(replica)
        found = next((b for b in account.booked if b.request == request), None) if account else None
        if account is not None and found is not None:
            account.remove(found)

    def holds(self, booking: Booking) -> bool:
        """Whether it is still counted."""
        account = self._accounts.get(booking.replica)
        return account is not None and booking in account.booked

    def load(self, replica: Hashable, now: float, ongoing: int | None = None, but: Booking | None = None) -> Load:
        """What a replica has to do, `but` one booking that may stand there.

        `ongoing` is its own count of requests, where it is known: those beyond what was sent are other routers', and
        count as the mean. A smaller one is out of date, since what was sent has not ended.
        """
        account = self._accounts.get(replica)
        if account is None:
            return Load(0, 0.0)
        while account.booked and (oldest := next(iter(account.booked))).since < now - LONGEST:
            account.remove(oldest)
        others = 0 if ongoing is None else max(0, ongoing - account.sent)
        itself = but is not None and but in account.booked
        return Load(
            len(account.booked) + others - itself,
            account.tokens + others * self.mean - (but.tokens if but is not None and itself else 0.0),
        )

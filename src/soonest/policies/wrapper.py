"""What wrappers share: all but the rank is the inner policy's."""

from dataclasses import replace

from soonest.core import Entry, Numbers, Policy, Rank, Request


class Wrapper(Policy):
    """Answer as the inner policy does, with another rank: subclasses say `_rank_numbers` and `_rank_around`."""

    def __init__(self, inner: Policy) -> None:
        self.inner = inner
        self.needs = inner.needs
        self.holds_overdue = inner.holds_overdue
        rows = inner.numbers
        self._rows = None if rows is None else tuple(replace(row, **self._rank_numbers(row)) for row in rows)

    def _rank_numbers(self, row: Numbers) -> dict[str, float]:
        """The rank's coefficients, from the inner policy's row."""
        raise NotImplementedError

    def _rank_around(self, entry: Entry) -> Rank:
        """The same around an inner policy that is code."""
        raise NotImplementedError

    @property
    def numbers(self) -> tuple[Numbers, ...] | None:
        """The inner policy's rows with this rank."""
        return self._rows

    def rank(self, entry: Entry) -> Rank:
        """See the class."""
        if self._rows is None:
            return self._rank_around(entry)
        return self._rows[self.row(entry.request)].rank(entry)

    def row(self, request: Request) -> int:
        """The inner policy's."""
        return self.inner.row(request)

    def first(self, request: Request) -> float:
        """The inner policy's."""
        return self.inner.first(request)

    def reserve(self, entry: Entry) -> int | None:
        """The inner policy's."""
        return self.inner.reserve(entry)

    def keep(self, entry: Entry) -> float:
        """The inner policy's."""
        return self.inner.keep(entry)

    def evicted(self, entry: Entry) -> float:
        """The inner policy's."""
        return self.inner.evicted(entry)

    def quantum(self, entry: Entry, draw: float) -> int | None:
        """The inner policy's."""
        return self.inner.quantum(entry, draw)

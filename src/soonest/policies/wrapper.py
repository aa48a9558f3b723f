"""What wrappers share: all but the rank is the inner policy's."""

from soonest.core import Entry, Numbers, Policy, PolicyError, Rank, Request


class Wrapper(Policy):
    """Answer as the inner policy does, with another rank: subclasses say `_row_around` and `_rank_around`."""

    def __init__(self, inner: Policy) -> None:
        if not isinstance(inner, Policy):
            raise PolicyError(f"{self.name} wraps a policy, got {inner!r}: write for example {self.name}(shortest)")
        self.inner = inner
        self.needs = inner.needs
        self.holds = inner.holds
        self.ranks_unknown = inner.ranks_unknown
        rows = inner.numbers
        self._rows = None if rows is None else tuple(self._row_around(row) for row in rows)

    def _row_around(self, row: Numbers) -> Numbers:
        """The inner policy's row with this rank."""
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

    def yields(self, entry: Entry) -> bool:
        """The inner policy's."""
        return self.inner.yields(entry)

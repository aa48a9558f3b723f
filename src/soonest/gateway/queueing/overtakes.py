"""How many later arrivals were let in before a request."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import Final

SLACK: Final = 1 << 16
"""Numbers kept beyond those that anybody waiting needs, before the old ones are dropped."""


class Overtakes:
    """Counts those who started, by arrival number, in a Fenwick tree: every question costs O(log n).

    Whoever has a larger number came later, so the later ones that have started by now have overtaken.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, None] = {}
        self._tree = array("q", [0])
        self._base = 0
        self._total = 0

    def waits(self, number: int) -> None:
        """A request waits; a new one has a number larger than all before."""
        self._waiting[number] = None
        while self._base + len(self._tree) - 1 <= number:
            self._grow()
        if len(self._tree) > SLACK:
            self._drop()

    def left(self, number: int) -> None:
        """A request waits no more."""
        self._waiting.pop(number, None)

    def passed(self, number: int) -> None:
        """A new request started where nobody waits, so what was counted so far tells of nobody any more."""
        self._tree, self._base, self._total = array("q", [0]), number + 1, 0

    def started(self, number: int) -> int:
        """Count one who starts: how many later arrivals have started before it."""
        later = self._total - self._up_to(number)
        i = number - self._base + 1
        if i < 1:  # forgotten while it ran, and let in again
            return later
        self._total += 1
        while i < len(self._tree):
            self._tree[i] += 1
            i += i & -i
        return later

    def _up_to(self, number: int) -> int:
        """How many of those counted have this number or a smaller one."""
        i, found = number - self._base + 1, 0
        while i > 0:
            found += self._tree[i]
            i &= i - 1
        return found

    def _grow(self) -> None:
        """One more number, of which nobody has started: its node sums up the nodes below it."""
        i = len(self._tree)
        below, last = 0, i - (i & -i)
        child = i - 1
        while child > last:
            below += self._tree[child]
            child &= child - 1
        self._tree.append(below)

    def _drop(self) -> None:
        """Forget the numbers before that of whoever waits longest, once they are half of all."""
        oldest = next(iter(self._waiting))
        if oldest - self._base < len(self._tree) // 2:
            return
        counts = [self._up_to(number) for number in range(oldest - 1, self._base + len(self._tree) - 1)]
        self._total -= counts[0]
        self._base, self._tree = oldest, array("q", [0])
        for before, now in pairwise(counts):
            self._grow()
            self._tree[-1] += now - before

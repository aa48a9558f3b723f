"""The waiting requests of one priority."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from soonest.core.queue.lanes import Lanes

if TYPE_CHECKING:
    from soonest.core.entry import Entry
    from soonest.core.queue.waiting import Queue

Account = tuple[int, float, float]
"""Admissions since the last from the overdue lane, the class's virtual time, what a tenant has spent."""


class PriorityClass:
    """An overdue lane beside tenants' lanes; the queue decides between classes."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.since = 0
        self._waiting: dict[int, Entry] = {}
        self._arrivals: list[tuple[float, int]] = []
        self._tenants: dict[str, Lanes] = {}
        self._spare: Lanes | None = None
        self._spent: dict[str, float] = {}
        self._virtual = 0.0
        self._mean = 1.0

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, entry: Entry) -> None:
        """Let an entry in."""
        self._lanes(entry).push(entry)
        self._waiting[entry.sequence] = entry
        heapq.heappush(self._arrivals, (entry.request.arrival, entry.sequence))

    def remove(self, entry: Entry) -> None:
        """Take an entry out."""
        del self._waiting[entry.sequence]
        tenant = self._tenant(entry)
        self._tenants[tenant].remove(entry)
        if self.queue.weights is not None and not len(self._tenants[tenant]):
            self._spare = self._tenants.pop(tenant)
        if len(self._arrivals) > 2 * len(self._waiting) + 64:
            self._arrivals = [(e.request.arrival, e.sequence) for e in self._waiting.values()]
            heapq.heapify(self._arrivals)

    def pass_by(self, entry: Entry) -> None:
        """Charge somebody beside whom nobody waits, right after `rest`."""
        bound, last = self.queue.overdue_after, self.queue.overdue_every - 1
        overdue = bound is not None and self.queue.now >= entry.request.arrival + bound
        self.since = 0 if overdue and self.since >= last else min(self.since + 1, last)
        if self.queue.weights is not None:
            tenant = entry.request.tenant
            self._spent[tenant] = max(0.0, entry.expected / self.queue.weights.get(tenant, 1.0))

    def rest(self) -> None:
        """Once nobody waits, no tenant owes another anything."""
        if self.queue.weights is not None and not self._waiting:
            self._spent.clear()
            self._virtual = 0.0

    def reorder(self, now: float, mean: float) -> None:
        """Freeze every tenant's order."""
        self._mean = mean
        for lanes in self._tenants.values():
            lanes.reorder(now, mean)

    def oldest(self) -> Entry:
        """The earliest arrival; somebody must wait."""
        while self._arrivals[0][1] not in self._waiting:
            heapq.heappop(self._arrivals)
        return self._waiting[self._arrivals[0][1]]

    def overdue(self) -> Entry | None:
        """The oldest, if it fell due by the frozen time."""
        bound = self.queue.overdue_after
        if bound is None:
            return None
        oldest = self.oldest()
        return oldest if self.queue.now >= oldest.request.arrival + bound else None

    def head(self) -> Entry:
        """The first in the frozen order; somebody must wait."""
        if self.since >= self.queue.overdue_every - 1 and (overdue := self.overdue()) is not None:
            return overdue
        if len(self._tenants) == 1:
            return next(iter(self._tenants.values())).head()
        least = min(self._spent[tenant] for tenant in self._tenants)
        first = [lanes for tenant, lanes in self._tenants.items() if self._spent[tenant] == least]
        return min(first, key=Lanes.head_order).head()

    def charge(self, entry: Entry) -> float:
        """Note an admission; the tokens charged to its tenant."""
        by_lane = self.since >= self.queue.overdue_every - 1 and self.overdue() is entry
        self.since = 0 if by_lane else min(self.since + 1, self.queue.overdue_every - 1)
        if self.queue.weights is None:
            return 0.0
        if not by_lane:  # its tenant may be far ahead of the others: no measure for newcomers
            self._virtual = max(self._virtual, self._spent[self._tenant(entry)])
        self.correct(entry, entry.expected)
        return entry.expected

    def account(self, entry: Entry) -> Account:
        """All that a charge changes."""
        return self.since, self._virtual, self._spent.get(self._tenant(entry), 0.0)

    def restore(self, entry: Entry, account: Account) -> None:
        """Undo a charge."""
        self.since, self._virtual, self._spent[self._tenant(entry)] = account

    def correct(self, entry: Entry, tokens: float) -> None:
        """Charge a tenant some tokens more, or fewer; debts never become savings."""
        tenant = self._tenant(entry)
        if self.queue.weights is not None and tenant in self._spent:
            self._spent[tenant] = max(0.0, self._spent[tenant] + tokens / self.queue.weights.get(tenant, 1.0))

    def _tenant(self, entry: Entry) -> str:
        return "" if self.queue.weights is None else entry.request.tenant

    def _lanes(self, entry: Entry) -> Lanes:
        tenant = self._tenant(entry)
        if tenant not in self._tenants:
            empty, self._spare = self._spare, None
            self._tenants[tenant] = Lanes(self.queue.policy) if empty is None else empty
            self._tenants[tenant].reorder(self.queue.now, self._mean)
            self._spent[tenant] = max(self._spent.get(tenant, 0.0), self._virtual)  # whoever comes back saved nothing
        return self._tenants[tenant]

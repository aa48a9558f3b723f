"""The waiting room: the only queue in the project."""

from __future__ import annotations

import heapq
import math
from bisect import insort
from typing import TYPE_CHECKING

from soonest.core.errors import QueueError
from soonest.core.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from soonest.core.entry import Entry
    from soonest.core.policy import Policy

PRIOR_TOKENS = 128.0
"""What an unknown answer is expected to take until the first one has finished."""
MAX_IDLE_CLASSES = 256
"""Empty priority classes beyond this many are forgotten, with their overdue counts."""


class Queue:
    """Who of the waiting goes first.

    Order: priority class, overdue lane, tenant share, rank, arrival, first insertion. It is frozen between
    `reorder(now)` calls, because engines peek, allocate, and only then pop: `pop` returns what `peek` showed, and what
    was pushed since waits for the next `reorder`. A pop charges the overdue lane and the tenant; `put_back`, in
    reverse order of popping, refunds them.

    Starvation is bounded by share: requests that waited longer than `overdue_after` seconds are served in arrival
    order by at most one admission in `overdue_every` of their class. They keep their place by rank beside it. That
    bounds waiting only while they come in more slowly than this share is served; at overload nothing can.

    With `weights`, tenants of a class share admissions by expected tokens (start-time fair queueing); a tenant
    without a weight has weight 1. `finished` corrects the charge by the actual tokens.

    Raises:
        QueueError: the bound or a weight is no positive number, an entry is pushed twice, or one is taken that is not
            here.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        overdue_after: float | None = None,
        overdue_every: int = 8,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if overdue_after is not None and not overdue_after >= 0:
            raise QueueError(f"overdue_after must be seconds >= 0 or None, got {overdue_after}")
        if overdue_every < 1:
            raise QueueError(f"overdue_every must be at least 1 (one admission in so many), got {overdue_every}")
        if weights is not None and not all(0 < w < math.inf for w in weights.values()):
            raise QueueError(f"tenant weights must be positive and finite, got {dict(weights)}")
        self.policy = policy
        self.overdue_after = overdue_after
        self.overdue_every = overdue_every
        self.weights = weights
        self.now = -math.inf
        self._classes: dict[int, _Class] = {}
        self._priorities: list[int] = []
        self._entries: dict[str, Entry] = {}
        self._pushed: dict[int, Entry] = {}
        self._before: dict[int, int] = {}
        self._charges: dict[int, float] = {}
        self._head: Entry | None = None
        self._inserted = 0
        self._done = 0
        self._tokens = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Everyone who waits, in no promised order."""
        return iter(self._entries.values())

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._entries

    @property
    def mean_tokens(self) -> float:
        """What an unknown answer is expected to take: the running mean of finished answers."""
        return self._tokens / self._done if self._done else PRIOR_TOKENS

    @property
    def due(self) -> float:
        """When the next waiting request falls due for the overdue lane, in seconds; infinite if none will."""
        if self.overdue_after is None:
            return math.inf
        oldest = (c.oldest() for c in self._classes.values() if len(c))
        times = (e.request.arrival + self.overdue_after for e in oldest)
        return min((t for t in times if t > self.now), default=math.inf)

    def push(self, entry: Entry) -> None:
        """Let an entry in, or in again after an eviction; it counts from the next `reorder` on."""
        if entry.request.id in self._entries:
            raise QueueError(f"request {entry.request.id!r} already waits")
        if entry.sequence < 0:
            entry.sequence = self._inserted
            self._inserted += 1
        forecast = entry.request.forecast
        entry.expected = forecast.expected if forecast.known else self.mean_tokens
        self._entries[entry.request.id] = entry
        self._pushed[entry.sequence] = entry

    def reorder(self, now: float) -> None:
        """Read the ranks at `now` seconds and freeze the order."""
        self.now = now
        self._head = None
        self._before.clear()
        for entry in self._pushed.values():
            self._place(entry)
        self._pushed.clear()
        for waiting in self._classes.values():
            waiting.reorder(now, self.mean_tokens)

    def peek(self) -> Entry | None:
        """Who is next in the frozen order, or `None`."""
        if self._head is None and self._priorities:
            self._head = self._classes[self._priorities[0]].head()
        return self._head

    def pop(self) -> Entry:
        """Take the next out and charge the overdue lane and the tenant."""
        entry = self.peek()
        if entry is None:
            raise QueueError("nobody waits in the frozen order: call `reorder` first, or check `peek`")
        waiting = self._classes[entry.request.priority]
        self._before[entry.sequence] = waiting.since
        charge = waiting.charge(entry)
        if self.weights is not None:
            self._charges[entry.sequence] = charge
        self._take(entry)
        return entry

    def put_back(self, entry: Entry) -> None:
        """Undo a pop: the entry keeps its place and its charge is refunded."""
        if entry.request.id in self._entries:
            raise QueueError(f"request {entry.request.id!r} already waits")
        self._entries[entry.request.id] = entry
        self._place(entry)
        waiting = self._classes[entry.request.priority]
        waiting.refund(entry, self._before.pop(entry.sequence, waiting.since), self._charges.pop(entry.sequence, 0.0))
        self._head = None

    def remove(self, request_id: str) -> Entry:
        """Cancel: take out whoever has this id, in amortised O(log n)."""
        entry = self._entries.get(request_id)
        if entry is None:
            raise QueueError(f"request {request_id!r} does not wait here")
        if entry.sequence in self._pushed:
            del self._pushed[entry.sequence]
            del self._entries[request_id]
        else:
            self._take(entry)
        return entry

    def finished(self, entry: Entry, tokens: int) -> None:
        """Learn that an admitted entry's answer ended after so many tokens."""
        self._done += 1
        self._tokens += tokens
        charge = self._charges.pop(entry.sequence, None)
        if charge is not None and entry.request.priority in self._classes:
            self._classes[entry.request.priority].correct(entry, tokens - charge)

    def _place(self, entry: Entry) -> None:
        priority = entry.request.priority
        waiting = self._classes.setdefault(priority, _Class(self))
        if not len(waiting):
            insort(self._priorities, priority)
        waiting.push(entry)

    def _take(self, entry: Entry) -> None:
        del self._entries[entry.request.id]
        self._head = None
        priority = entry.request.priority
        self._classes[priority].remove(entry)
        if not len(self._classes[priority]):
            self._priorities.remove(priority)
            if len(self._classes) > MAX_IDLE_CLASSES:
                self._classes = {p: c for p, c in self._classes.items() if len(c)}


class _Class:
    """The waiting requests of one priority: an overdue lane beside tenants' lanes."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.since = 0
        self._waiting: dict[int, Entry] = {}
        self._arrivals: list[tuple[float, int]] = []
        self._tenants: dict[str, Lanes] = {}
        self._spent: dict[str, float] = {}
        self._virtual = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, entry: Entry) -> None:
        lanes = self._lanes(entry)
        lanes.push(entry)
        self._waiting[entry.sequence] = entry
        heapq.heappush(self._arrivals, (entry.request.arrival, entry.sequence))

    def remove(self, entry: Entry) -> None:
        del self._waiting[entry.sequence]
        lanes = self._lanes(entry)
        lanes.remove(entry)
        tenant = self._tenant(entry)
        if self.queue.weights is not None and not len(lanes) and self._spent[tenant] <= self._virtual:
            del self._tenants[tenant], self._spent[tenant]
        if len(self._arrivals) > 2 * len(self._waiting) + 64:
            self._arrivals = [(e.request.arrival, e.sequence) for e in self._waiting.values()]
            heapq.heapify(self._arrivals)

    def reorder(self, now: float, mean: float) -> None:
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
        if self.since >= self.queue.overdue_every - 1:
            overdue = self.overdue()
            if overdue is not None:
                return overdue
        if len(self._tenants) == 1:
            (lanes,) = self._tenants.values()
        else:
            waiting = (t for t, lanes in self._tenants.items() if len(lanes))
            lanes = self._tenants[min(waiting, key=lambda t: (self._spent[t], t))]
        return lanes.head()

    def charge(self, entry: Entry) -> float:
        """Note an admission; the tokens charged to its tenant."""
        by_lane = self.since >= self.queue.overdue_every - 1 and self.overdue() is entry
        self.since = 0 if by_lane else min(self.since + 1, self.queue.overdue_every - 1)
        if self.queue.weights is None:
            return 0.0
        tenant = self._tenant(entry)
        self._virtual = max(self._virtual, self._spent[tenant])
        self._spent[tenant] += entry.expected / self.queue.weights.get(tenant, 1.0)
        return entry.expected

    def refund(self, entry: Entry, since: int, tokens: float) -> None:
        self.since = since
        self.correct(entry, -tokens)

    def correct(self, entry: Entry, tokens: float) -> None:
        """Charge a tenant some tokens more, or fewer."""
        tenant = self._tenant(entry)
        if self.queue.weights is not None and tenant in self._spent:
            self._spent[tenant] += tokens / self.queue.weights.get(tenant, 1.0)

    def _tenant(self, entry: Entry) -> str:
        return "" if self.queue.weights is None else entry.request.tenant

    def _lanes(self, entry: Entry) -> Lanes:
        tenant = self._tenant(entry)
        if tenant not in self._tenants:
            self._tenants[tenant] = Lanes(self.queue.policy)
            self._tenants[tenant].reorder(self.queue.now, self.queue.mean_tokens)
        lanes = self._tenants[tenant]
        if not len(lanes):  # a tenant that comes back has saved nothing up
            self._spent[tenant] = max(self._spent.get(tenant, 0.0), self._virtual)
        return lanes

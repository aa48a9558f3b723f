"""The waiting room: the only queue in the project."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from soonest.core.errors import QueueError
from soonest.core.queue.priority_class import PriorityClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from soonest.core.entry import Entry
    from soonest.core.policy import Policy
    from soonest.core.queue.priority_class import Account

PRIOR_TOKENS = 128.0
"""What an unknown answer is expected to take until the first one has finished."""
MAX_IDLE_CLASSES = 256
"""Empty priority classes beyond this many are forgotten, with their overdue counts."""


class Queue:
    """Who of the waiting goes first.

    Order: priority class, overdue lane, tenant share, rank, arrival, first insertion. It is frozen between
    `reorder(now)` calls, because engines peek, allocate, and only then pop: `pop` returns what `peek` showed, and what
    was pushed since waits for the next `reorder`. A pop charges the overdue lane and the tenant; `put_back`, in
    reverse order of popping, restores both exactly; out of that order, it refunds the tenant alone.

    Starvation is bounded by share: requests that waited longer than `overdue_after` seconds are served in arrival
    order by at most one admission in `overdue_every` of their class. They keep their place by rank beside it. That
    bounds waiting only while they come in more slowly than this share is served; at overload nothing can.

    With `weights`, tenants of a class share admissions by expected tokens (start-time fair queueing); a tenant
    without a weight has weight 1. `finished` corrects the charge by the actual tokens at the next `reorder`; a push
    after an eviction refunds it there, because the next admission charges anew: an answer is paid for once.

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
        self.overdue_after, self.overdue_every, self.weights = overdue_after, overdue_every, weights
        self.now = -math.inf
        self._classes: dict[int, PriorityClass] = {}
        self._priorities: list[int] = []
        self._entries: dict[str, Entry] = {}
        self._pushed: dict[int, Entry] = {}
        self._undo: dict[int, tuple[Account, Account]] = {}
        self._charges: dict[int, float] = {}
        self._ended: list[tuple[Entry, int]] = []
        self._evicted: list[tuple[Entry, float]] = []
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
        """When an overdue lane that is empty now gets its first, in seconds; infinite if none will."""
        if self.overdue_after is None:
            return math.inf
        times = (c.oldest().request.arrival + self.overdue_after for c in self._classes.values() if len(c))
        return min((t for t in times if t > self.now), default=math.inf)

    def push(self, entry: Entry) -> None:
        """Let an entry in, or in again after an eviction; it counts from the next `reorder` on."""
        if entry.request.id in self._entries:
            raise QueueError(f"request {entry.request.id!r} already waits")
        self._number(entry)
        self._entries[entry.request.id] = entry
        self._pushed[entry.sequence] = entry
        if entry.sequence in self._charges:
            self._evicted.append((entry, self._charges.pop(entry.sequence)))

    def reorder(self, now: float) -> None:
        """Read the ranks at `now` seconds and freeze the order."""
        self.now = now
        self._head = None
        self._undo.clear()
        self._correct()
        for waiting in self._classes.values():
            waiting.rest()
        for entry in self._pushed.values():
            self._place(entry)
        self._pushed.clear()
        self._refund()
        self._forget(self._priorities)
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
        before, charge = waiting.account(entry), waiting.charge(entry)
        self._undo[entry.sequence] = before, waiting.account(entry)
        if self.weights is not None:
            self._charges[entry.sequence] = charge
        self._take(entry)
        return entry

    def pass_by(self, entry: Entry, now: float) -> bool:
        """Push, reorder at `now`, and pop in one, for a new entry where nobody waits; else do nothing.

        Whether it was let through. What it leaves behind is what the three calls would, but for an undo: it cannot be
        put back.
        """
        if self._entries or entry.sequence >= 0:
            return False
        self.now = now
        self._undo.clear()
        self._correct()
        self._evicted.clear()  # there is no account left to refund
        for waiting in self._classes.values():
            waiting.rest()
        self._number(entry)
        waiting = self._class(entry.request.priority)
        self._forget([entry.request.priority])
        waiting.pass_by(entry)
        if self.weights is not None:
            self._charges[entry.sequence] = entry.expected
        return True

    def put_back(self, entry: Entry) -> None:
        """Undo a pop: the entry keeps its place and its charge is refunded."""
        if entry.request.id in self._entries:
            raise QueueError(f"request {entry.request.id!r} already waits")
        waiting = self._class(entry.request.priority)
        before, after = self._undo.pop(entry.sequence, (None, None))
        charge, last = self._charges.pop(entry.sequence, 0.0), waiting.account(entry) == after
        self._entries[entry.request.id] = entry
        self._place(entry)
        if before is not None and last:
            waiting.restore(entry, before)
        else:
            waiting.correct(entry, -charge)
        self._head = None

    def upcoming(self, most: int) -> list[Entry]:
        """The first of the frozen order, at most so many, as `pop` would take them one after the other.

        For whoever wants to show the order: nothing is changed by it.
        """
        first: list[Entry] = []
        while len(first) < most and self.peek() is not None:
            first.append(self.pop())
        for entry in reversed(first):
            self.put_back(entry)
        return first

    def remove(self, request_id: str) -> Entry:
        """Cancel: take out whoever has this id, in amortised O(log n)."""
        entry = self._entries.get(request_id)
        if entry is None:
            raise QueueError(f"request {request_id!r} does not wait here")
        if self._pushed.pop(entry.sequence, None) is None:
            self._take(entry)
        else:
            del self._entries[request_id]
        return entry

    def finished(self, entry: Entry, tokens: int) -> None:
        """Learn that an admitted entry's answer ended after so many tokens."""
        self._done += 1
        self._tokens += tokens
        if self.weights is not None:
            self._ended.append((entry, tokens))

    def dropped(self, entry: Entry) -> None:
        """Forget an admitted entry that ended without an answer to learn from: cancelled, failed or aborted."""
        self._charges.pop(entry.sequence, None)

    def _number(self, entry: Entry) -> None:
        """Note when it first came, and what it is expected to take."""
        if entry.sequence < 0:
            entry.sequence = self._inserted
            self._inserted += 1
        forecast = entry.request.forecast
        entry.expected = forecast.expected if forecast.known else self.mean_tokens

    def _correct(self) -> None:
        for entry, tokens in self._ended:
            charge = self._charges.pop(entry.sequence, None)
            waiting = self._classes.get(entry.request.priority)
            if charge is not None and waiting is not None:
                waiting.correct(entry, tokens - charge)
        self._ended.clear()

    def _refund(self) -> None:
        """Undo the evicted's charges, after they are placed: whoever comes back saved nothing, but paid for nothing."""
        for entry, charge in self._evicted:
            if (waiting := self._classes.get(entry.request.priority)) is not None:
                waiting.correct(entry, -charge)
        self._evicted.clear()

    def _forget(self, priorities: Sequence[int]) -> None:
        """Keep the classes of these priorities alone, once too many others are empty."""
        if len(self._classes) > 2 * len(priorities) + MAX_IDLE_CLASSES:
            self._classes = {p: self._classes[p] for p in priorities}

    def _class(self, priority: int) -> PriorityClass:
        found = self._classes.get(priority)
        if found is None:
            found = self._classes[priority] = PriorityClass(self)
        return found

    def _place(self, entry: Entry) -> None:
        priority = entry.request.priority
        waiting = self._class(priority)
        if not len(waiting):
            insort(self._priorities, priority)
        waiting.push(entry)

    def _take(self, entry: Entry) -> None:
        del self._entries[entry.request.id]
        self._head = None
        priority = entry.request.priority
        self._classes[priority].remove(entry)
        if not len(self._classes[priority]):
            del self._priorities[bisect_left(self._priorities, priority)]

"""Gateways in front of the same engines: each has a queue of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.core import Queue
from soonest.core.queue.waiting import PRIOR_TOKENS
from soonest.sim.draws import ROUTE, draw, pick

if TYPE_CHECKING:
    from soonest.core import Entry, Policy
    from soonest.sim.options import Options


def queue(policy: Policy, options: Options) -> Queue:
    """A waiting room as the options say."""
    return Queue(
        policy, overdue_after=options.overdue_after, overdue_every=options.overdue_every, weights=options.weights
    )


class Gateways:
    """Several queues that look like one to whoever admits.

    A request waits at the gateway that a draw names. Places that become free go to the gateways in turn, those with
    nobody to send are passed over. Each orders its own requests only, accounts for its own tenants and overdue lane,
    and learns the lengths of its own answers. While the head of the one whose turn it is fits nowhere, the others wait
    too: an engine takes what it is sent in the order in which it was sent.
    """

    def __init__(self, policy: Policy, options: Options) -> None:
        self.queues = [queue(policy, options) for _ in range(options.gateways)]
        self.overdue_after = options.overdue_after
        self.now = self.queues[0].now
        self._seed, self._turn = options.seed, 0
        self._answers = self._tokens = 0

    def __len__(self) -> int:
        return sum(map(len, self.queues))

    @property
    def due(self) -> float:
        """When the next request enters an overdue lane that is empty now, in seconds."""
        return min(one.due for one in self.queues)

    @property
    def mean_tokens(self) -> float:
        """The mean length of finished answers, whoever sent them."""
        return self._tokens / self._answers if self._answers else PRIOR_TOKENS

    def push(self, entry: Entry) -> None:
        """Let an entry in at its gateway, the same one each time."""
        self._of(entry).push(entry)

    def reorder(self, now: float) -> None:
        """Read the ranks at `now` seconds and freeze every gateway's order."""
        self.now = now
        for one in self.queues:
            one.reorder(now)

    def peek(self) -> Entry | None:
        """The first of the gateway whose turn it is, or `None`."""
        n = len(self.queues)
        heads = (self.queues[(self._turn + i) % n].peek() for i in range(n))
        return next((head for head in heads if head is not None), None)

    def pop(self) -> Entry:
        """Take that one out; the turn passes to the gateway after its."""
        head = self.peek()
        taken = self.queues[self._turn] if head is None else self._of(head)
        self._turn = (self.queues.index(taken) + 1) % len(self.queues)
        return taken.pop()

    def finished(self, entry: Entry, tokens: int) -> None:
        """An admitted entry's answer ended after so many tokens; its gateway learns of it."""
        self._answers += 1
        self._tokens += tokens
        self._of(entry).finished(entry, tokens)

    def dropped(self, entry: Entry) -> None:
        """Forget an admitted entry that ended without an answer."""
        self._of(entry).dropped(entry)

    def _of(self, entry: Entry) -> Queue:
        return self.queues[pick(draw(self._seed, entry.sequence, 0, ROUTE), len(self.queues))]

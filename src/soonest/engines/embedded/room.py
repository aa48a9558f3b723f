"""Who starts next on an engine of slots and blocks, and who gives way: a policy's answers, without an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.core import Entry, Load, Need, PolicyError, Queue

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from soonest.core import Policy, Request, Rules

GIVES = frozenset({Need.EVICT})
"""What a policy may count on: the evicted compute their tokens again, and nobody is sent back after a quantum."""


class Room:
    """The waiting and the running of one engine, in the words of the engine that asks.

    `candidates` shows who may start now, in order, and takes them out of the queue; the engine says with `took` whom it
    started, and the others go back to their places. An engine on which nothing runs always gets its first candidate.
    Time is an argument; nothing here waits, reads a clock or knows a model. One thread at a time.

    Raises:
        PolicyError: the policy needs what an engine cannot give.
    """

    def __init__(
        self,
        policy: Policy,
        rules: Rules,
        *,
        overdue_after: float | None = None,
        overdue_every: int = 8,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        missing = sorted(need.value for need in policy.needs - GIVES)
        if missing:
            raise PolicyError(
                f"policy {policy.name!r} needs {' and '.join(missing)}, which the embedded engine cannot give: an "
                "evicted request computes its tokens again there and runs to its end; simulate it, or take another"
            )
        self.policy, self.rules = policy, rules
        self.queue = Queue(policy, overdue_after=overdue_after, overdue_every=overdue_every, weights=weights)
        self.running: dict[str, Entry] = {}
        self.evictions = 0
        self._offered: list[Entry] = []
        self._admissions = 0

    def __contains__(self, request_id: object) -> bool:
        return request_id in self.running or request_id in self.queue

    def add(self, request: Request) -> None:
        """Let a request in; it counts from the next `candidates` on."""
        entry = Entry(request)
        entry.clamp(self.policy.first(request), self.rules.estimate_room(request.prompt_tokens))
        self.queue.push(entry)

    def candidates(self, now: float) -> list[str]:
        """Who may start at `now` seconds, first to last: the head of the queue while places last and the peak fits."""
        slots = self.rules.slots
        if not len(self.queue) or (slots is not None and len(self.running) >= slots):
            return []
        self.queue.reorder(now)
        load = self._load()
        while (entry := self.queue.peek()) is not None:
            if slots is not None and len(self.running) + len(self._offered) >= slots:
                break
            reserve = self.policy.reserve(entry)
            if load is not None:
                if not load.fits(entry, reserve, load.rules.blocks - self.rules.reserve_blocks):  # type: ignore[operator]
                    break
                load.add(entry, reserve)
            self._offered.append(self.queue.pop())
        return [entry.request.id for entry in self._offered]

    def took(self, started: Collection[str]) -> None:
        """The engine started these of the candidates; the others go back to their places."""
        for entry in reversed(self._offered):
            if entry.request.id not in started:
                self.queue.put_back(entry)
        for entry in self._offered:
            if entry.request.id in started:
                self._admissions += 1
                entry.admitted = self._admissions
                self.running[entry.request.id] = entry
        self._offered.clear()

    def generated(self, request_id: str, tokens: int) -> None:
        """A running request has emitted so many tokens."""
        self.running[request_id].generated = tokens

    def by_keep(self) -> list[str]:
        """The running, the one most worth keeping first; overflow takes the last. Of equals the later one goes."""
        keep = self.policy.keep
        return [e.request.id for e in sorted(self.running.values(), key=lambda e: (-keep(e), e.sequence))]

    def evicted(self, request_id: str) -> None:
        """A running request lost its memory: back to the queue with its tokens and the policy's next estimate."""
        entry = self.running[request_id]
        entry.clamp(self.policy.evicted(entry), self.rules.estimate_room(entry.request.prompt_tokens))
        del self.running[request_id]  # only now: a policy that raises loses nobody
        entry.attempts += 1
        self.evictions += 1
        self.queue.push(entry)

    def finished(self, request_id: str, tokens: int) -> None:
        """An answer ended after so many tokens; its place is free."""
        self.queue.finished(self._leave(request_id), tokens)

    def cancelled(self, request_id: str) -> None:
        """A request is gone without an answer to learn from, waiting or running; its place is free."""
        self.queue.dropped(self._leave(request_id))

    def _leave(self, request_id: str) -> Entry:
        entry = self.running.pop(request_id, None)
        return self.queue.remove(request_id) if entry is None else entry

    def _load(self) -> Load | None:
        """What the running hold, and will hold; made anew because the engine, not we, decides who emits when."""
        if self.rules.blocks is None:
            return None
        load = Load(self.rules, holds=self.policy.holds)
        for entry in self.running.values():
            load.add(entry, self.policy.reserve(entry))
        return load

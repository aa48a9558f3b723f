"""Who of the waiting goes to which engine, and when: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from soonest.core import Entry, Load, Need, PolicyError, Queue, Rules
from soonest.core.policy import reserves_estimate
from soonest.gateway.queueing.overtakes import Overtakes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.core import Policy, Rank, Request

GIVES = frozenset({Need.EVICT})
"""The engine behind a gateway evicts by its own order; a gateway itself never ends an attempt."""
PRIOR_SECONDS_PER_TOKEN = 0.02
MEMORY = 0.1
"""Weight of the newest answer in the running mean of seconds a token."""
FRESH_SECONDS = 0.05
"""So old may the count of generated tokens be on which the look-ahead rests."""
MAX_ROOM = 1 << 40
MOST_CHOICES = 1 << 10


class QueueFull(Exception):  # noqa: N818 - a state of the queue, not an error of ours
    """As many wait as may; `retry_after` says in how many seconds that will have changed."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the queue is full; it drains in about {retry_after:.0f} s")
        self.retry_after = retry_after


@dataclass(slots=True, eq=False)
class Ticket:
    """One request on its way: its entry, how many choices it asks for, and where it runs, if it does.

    `started` is when it was sent to the engine, in seconds on the host's clock; `overtaken` how many later arrivals
    were let in before it; `failed` names the engines that could not answer it. A host counts generated tokens into
    `entry.generated` while it `streams`.
    """

    entry: Entry
    choices: int = 1
    streams: bool = True
    place: Place | None = None
    started: float = 0.0
    overtaken: int = 0
    failed: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Place:
    """One engine as the dispatcher sees it.

    `limit` is how many choices may be in flight (`None`: any number), `rules` its KV cache where it is known, `up`
    whether it takes requests. `load` is the dispatcher's count of its memory, made anew when it has become old.
    """

    name: str
    limit: int | None = None
    rules: Rules | None = None
    up: bool = True
    running: dict[int, Ticket] = field(default_factory=dict)
    in_flight: int = 0
    load: Load | None = None
    load_made: float = 0.0

    def has_room(self, choices: int) -> bool:
        """Whether so many more may be in flight; what is beyond the limit by itself counts as the limit."""
        return self.up and (self.limit is None or self.in_flight + min(choices, self.limit) <= self.limit)

    @property
    def expected_tokens(self) -> float:
        """Output tokens that its running are still expected to generate."""
        return sum(t.choices * max(t.entry.expected - t.entry.generated, 1.0) for t in self.running.values())


class Dispatcher:
    """The waiting room and the engines behind it.

    Everything that happens is told to it with its time; `admit` answers who starts where. Admission is that of
    `core.Load` on what the gateway knows, which is approximate: prompts are counted by an estimate, tokens of an answer
    that is not streamed by the time that it has run.

    Raises:
        PolicyError: the policy needs what a gateway cannot give: it never ends an attempt.
    """

    def __init__(
        self,
        policy: Policy,
        places: list[Place],
        *,
        most_waiting: int = 10_000,
        overdue_after: float | None = None,
        overdue_every: int = 8,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if missing := policy.needs - GIVES:
            needs = ", ".join(sorted(missing))
            raise PolicyError(
                f"policy {policy.name!r} needs {needs}, which a gateway cannot give: it never ends an answer"
            )
        self.policy, self.places, self.most_waiting = policy, places, most_waiting
        self.queue = Queue(policy, overdue_after=overdue_after, overdue_every=overdue_every, weights=weights)
        self.seconds_per_token = PRIOR_SECONDS_PER_TOKEN
        self._reserves = reserves_estimate(policy)
        self._tickets: dict[int, Ticket] = {}
        self._waiting_tokens = 0.0
        self._admissions = 0
        self._overtakes = Overtakes()

    def enter(self, request: Request, choices: int = 1, *, streams: bool = True) -> Ticket:
        """Let a request wait; it counts from the next `admit` on.

        Raises:
            QueueFull: as many wait as may.
            QueueError: a request of that id waits already.
        """
        if len(self.queue) >= self.most_waiting:
            raise QueueFull(self.drain_seconds)
        ticket = self._ticket(request, choices, streams=streams)
        self._wait(ticket)
        return ticket

    def pass_by(self, request: Request, now: float, choices: int = 1, *, streams: bool = True) -> Ticket | None:
        """Let a request in and start it in one, where nobody waits and there is room; nothing happens elsewhere."""
        if len(self.queue):
            return None
        ticket = self._ticket(request, choices, streams=streams)
        place = self._place_for(ticket, now)
        if place is None:
            return None
        self.queue.pass_by(ticket.entry, now)
        self._overtakes.passed(ticket.entry.sequence)
        self._start(ticket, place, now)
        return ticket

    def admit(self, now: float) -> list[Ticket]:
        """Those who start now, in their order, each with its place."""
        if not len(self.queue) or not self._room_for_one():
            return []
        self.queue.reorder(now)
        started, aside = [], []
        while self._room_for_one() and (entry := self.queue.peek()) is not None:  # whoever is next costs to find out
            ticket = self._tickets[entry.sequence]
            place = self._place_for(ticket, now)
            if place is None and not ticket.failed:
                break
            self.queue.pop()
            if place is None:  # it waits for another engine than the one that failed it, and blocks nobody
                aside.append(entry)
                continue
            self._leave(ticket)
            ticket.overtaken = self._overtakes.started(ticket.entry.sequence)
            self._start(ticket, place, now)
            started.append(ticket)
        for entry in reversed(aside):
            self.queue.put_back(entry)
        return started

    def finished(self, ticket: Ticket, tokens: int, now: float) -> None:
        """An answer ended after so many tokens, over all its choices."""
        each = tokens / ticket.choices
        self._stop(ticket)
        self.queue.finished(ticket.entry, round(each))
        if each > 0:
            self.seconds_per_token += MEMORY * ((now - ticket.started) / each - self.seconds_per_token)

    def dropped(self, ticket: Ticket) -> None:
        """A request ended without an answer to learn from: whether it waited or ran, its place is free."""
        if ticket.place is None:
            if self._tickets.get(ticket.entry.sequence) is ticket:
                self.queue.remove(ticket.entry.request.id)
                self._leave(ticket)
            return
        self._stop(ticket)
        self.queue.dropped(ticket.entry)

    def again(self, ticket: Ticket) -> None:
        """An attempt failed before it said anything: back into the queue at its old place, rather elsewhere."""
        if ticket.place is not None:
            ticket.failed.add(ticket.place.name)
        self._stop(ticket)
        ticket.entry.generated = 0
        self._wait(ticket)

    def rank(self, ticket: Ticket) -> Rank:
        """What the policy says of it; an answer of unknown length is expected to take the mean."""
        entry = ticket.entry
        if not (entry.request.forecast.known or self.policy.ranks_unknown):
            mean = self.queue.mean_tokens
            entry = replace(entry, expected=mean, estimate=max(1, round(mean)))
        return self.policy.rank(entry)

    def upcoming(self, now: float, most: int) -> list[Ticket]:
        """Those who would start first, in their order, if there were room for all."""
        self.queue.reorder(now)
        return [self._tickets[entry.sequence] for entry in self.queue.upcoming(most)]

    @property
    def drain_seconds(self) -> float:
        """When, by forecasts and past speed, everything that waits and runs would be done."""
        tokens = self._waiting_tokens + sum(place.expected_tokens for place in self.places)
        limits = [place.limit or max(place.in_flight, 1) for place in self.places if place.up]
        return tokens * self.seconds_per_token / max(1, sum(limits))

    def _ticket(self, request: Request, choices: int, *, streams: bool) -> Ticket:
        ticket = Ticket(Entry(request), choices, streams)
        ticket.entry.clamp(self.policy.first(request), self._room(request))
        return ticket

    def _wait(self, ticket: Ticket) -> None:
        entry = ticket.entry
        self.queue.push(entry)
        self._tickets[entry.sequence] = ticket
        self._waiting_tokens += entry.expected * ticket.choices
        self._overtakes.waits(entry.sequence)

    def _leave(self, ticket: Ticket) -> None:
        entry = ticket.entry
        del self._tickets[entry.sequence]
        self._waiting_tokens = max(0.0, self._waiting_tokens - entry.expected * ticket.choices)
        if not self._tickets:
            self._waiting_tokens = 0.0  # sums of floats drift
        self._overtakes.left(entry.sequence)

    def _start(self, ticket: Ticket, place: Place, now: float) -> None:
        self._admissions += 1
        ticket.entry.admitted = self._admissions
        ticket.place, ticket.started = place, now
        place.running[ticket.entry.sequence] = ticket
        place.in_flight += ticket.choices
        if place.load is not None:
            self._add(place.load, ticket, ticket.choices)

    def _stop(self, ticket: Ticket) -> None:
        place = ticket.place
        if place is None or place.running.pop(ticket.entry.sequence, None) is None:
            return
        place.in_flight -= ticket.choices
        place.load = None
        ticket.place = None

    def _place_for(self, ticket: Ticket, now: float) -> Place | None:
        """The engine with the least expected work of those that have room for it.

        While an engine is up that has not failed the request, no other is asked for it.
        """
        places = [p for p in self.places if p.up and p.name not in ticket.failed] or self.places
        fitting = [p for p in places if p.has_room(ticket.choices) and self._fits(p, ticket, now)]
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        return min(fitting, key=lambda place: place.expected_tokens)

    def _room_for_one(self) -> bool:
        """Whether any engine could take one more."""
        return any(place.has_room(1) for place in self.places)

    def _room(self, request: Request) -> int:
        """The largest estimate that any engine has memory for."""
        rooms = [p.rules.estimate_room(request.prompt_tokens) for p in self.places if p.rules is not None]
        return max(rooms) if rooms else MAX_ROOM

    def _fits(self, place: Place, ticket: Ticket, now: float) -> bool:
        """Whether the peak of the engine's memory stays within it, as far as a gateway can know."""
        rules = place.rules
        if rules is None or rules.blocks is None or not self._reserves or not place.running:
            return True
        load, entry = self._load(place, rules, now), ticket.entry
        others = self._add(load, ticket, ticket.choices - 1)
        fits = load.fits(entry, self.policy.reserve(entry), rules.blocks)
        for other in others:
            load.remove(other)
        return fits

    def _load(self, place: Place, rules: Rules, now: float) -> Load:
        """What runs there, as far as it is known."""
        if place.load is not None and now - place.load_made < FRESH_SECONDS:
            return place.load
        load = Load(rules, holds=self.policy.holds)
        for ticket in place.running.values():
            if not ticket.streams:
                ticket.entry.generated = int((now - ticket.started) / self.seconds_per_token)
            self._add(load, ticket, ticket.choices)
        place.load, place.load_made = load, now
        return load

    def _add(self, load: Load, ticket: Ticket, choices: int) -> list[Entry]:
        """Count so many choices of a request, each as an entry of its own."""
        first = ticket.entry.sequence * MOST_CHOICES
        entries = [replace(ticket.entry, sequence=first + choice) for choice in range(choices)]
        for entry in entries:
            load.add(entry, self.policy.reserve(entry))
        return entries

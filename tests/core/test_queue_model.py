"""The queue against a reference that looks at everyone who waits, every time."""

import copy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from soonest.core import Entry, Forecast, Policy, Queue, Rank, Request
from soonest.core.queue import PRIOR_TOKENS
from soonest.policies import policy


class Slopes(Policy):
    """Code, with ranks of several slopes."""

    name = "slopes"

    def rank(self, entry):
        return Rank(float(entry.estimate % 5), -(entry.request.prompt_tokens % 4) / 4)


POLICIES = [
    Slopes(),
    *map(policy, ("fcfs", "shortest", "longest", "a_min", "aging(shortest, rate=2)", "response_ratio")),
]
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
SIZES = st.sampled_from([1, 2, 4, 8, 64])  # powers of two: ranks are exact, so the reference may add plainly
TIMES = st.integers(0, 40).map(lambda quarter: quarter / 4)


class Reference:
    """All that the order depends on, with no heap, no cache and no lazy deletion."""

    def __init__(self, policy, after, every, weights):
        self.policy, self.after, self.every, self.weights = policy, after, every, weights
        self.now, self.mean = 0.0, PRIOR_TOKENS
        self.placed, self.fresh = [], []
        self.admissions, self.spent, self.virtual = {}, {}, {}

    def copy(self):
        twin = copy.copy(self)
        twin.placed, twin.fresh = list(self.placed), list(self.fresh)
        twin.admissions = {p: list(a) for p, a in self.admissions.items()}
        twin.spent, twin.virtual = dict(self.spent), dict(self.virtual)
        return twin

    def account(self, entry):
        return entry.request.priority, entry.request.tenant if self.weights else ""

    def correct(self, entry, tokens):
        account = self.account(entry)
        if self.weights and account in self.spent:
            cost = tokens / self.weights.get(entry.request.tenant, 1.0)
            self.spent[account] = max(0.0, self.spent[account] + cost)

    def reorder(self, now, mean):
        self.now, self.mean = now, mean
        for priority in {p for p, _ in self.spent} - {e.request.priority for e in self.placed}:
            self.virtual.pop(priority, None)
            self.spent = {account: s for account, s in self.spent.items() if account[0] != priority}
        for entry in self.fresh:
            account = self.account(entry)
            if account not in map(self.account, self.placed):
                floor = self.virtual.get(account[0], 0.0)
                self.spent[account] = max(self.spent.get(account, floor), floor)
            self.placed.append(entry)
        self.fresh = []

    def rank(self, entry):
        if not entry.request.forecast.known:
            entry = Entry(entry.request, max(1, round(self.mean)), expected=self.mean)
        base, slope = self.policy.rank(entry)
        return base + slope * self.now

    def overdue(self, priority):
        """The oldest of the class, if it fell due and the lane has not had its share."""
        recent = self.admissions.get(priority, [])
        recent = recent[len(recent) - self.every + 1 :] if self.every > 1 else []
        if self.after is None or len(recent) < self.every - 1 or any(recent):
            return None
        oldest = min((e for e in self.placed if e.request.priority == priority), key=arrived)
        return oldest if self.now >= oldest.request.arrival + self.after else None

    def head(self):
        if not self.placed:
            return None
        priority = min(e.request.priority for e in self.placed)
        if (overdue := self.overdue(priority)) is not None:
            return overdue
        accounts = {self.account(e) for e in self.placed if e.request.priority == priority}
        least = min(self.spent[a] for a in accounts)
        candidates = []
        for account in (a for a in accounts if self.spent[a] == least):
            mine = [e for e in self.placed if self.account(e) == account]
            unknown = sorted((e for e in mine if not e.request.forecast.known), key=arrived)
            candidates += unknown[:1] + [e for e in mine if e.request.forecast.known]
        return min(candidates, key=lambda e: (self.rank(e), *arrived(e)))

    def pop(self):
        entry = self.head()
        account = self.account(entry)
        by_lane = self.overdue(account[0]) is entry
        self.admissions.setdefault(account[0], []).append(by_lane)
        if not by_lane:
            self.virtual[account[0]] = max(self.virtual.get(account[0], 0), self.spent[account])
        self.correct(entry, entry.expected)
        self.placed.remove(entry)
        return entry, entry.expected


def arrived(entry):
    return entry.request.arrival, entry.sequence


class QueueMachine(RuleBasedStateMachine):
    running = Bundle("running")

    @initialize(
        policy=st.sampled_from(POLICIES),
        after=st.none() | st.sampled_from([0.0, 2.0, 6.0]),
        every=st.integers(1, 4),
        weights=st.none() | st.just(WEIGHTS),
    )
    def start(self, policy, after, every, weights):
        self.queue = Queue(policy, overdue_after=after, overdue_every=every, weights=weights)
        self.reference = Reference(policy, after, every, weights)
        self.popped, self.charges, self.ended, self.evicted = [], {}, [], []
        self.count = self.done = self.tokens = 0

    @rule(
        arrival=TIMES,
        size=SIZES,
        known=st.booleans(),
        prompt=st.integers(0, 7),
        priority=st.sampled_from([0, 0, 0, 1, -3]),
        tenant=st.sampled_from("abcd"),
    )
    def push(self, **facts):
        self.enter(self.entry(**facts))

    @precondition(lambda self: not len(self.queue) and not self.popped)
    @rule(
        target=running,
        now=TIMES,
        size=SIZES,
        known=st.booleans(),
        priority=st.sampled_from([0, 0, 1]),
        tenant=st.sampled_from("abcd"),
    )
    def pass_by(self, now, size, known, priority, tenant):
        """As a push, a reorder and a pop, where nobody waits."""
        entry = self.entry(now, size, known, 0, priority, tenant)
        assert self.queue.pass_by(entry, now)
        self.reference.fresh.append(entry)
        self.catch_up(now)
        popped, charge = self.reference.pop()
        assert popped is entry
        assert entry.expected == charge
        self.charges[entry] = charge
        return entry

    @precondition(lambda self: len(self.queue))
    @rule(now=TIMES)
    def nobody_passes_by_those_who_wait(self, now):
        assert not self.queue.pass_by(Entry(Request("late", now, 1)), now)

    def entry(self, arrival, size, known, prompt, priority, tenant):
        forecast = Forecast.exact(size) if known else Forecast.unknown(size)
        request = Request(
            str(self.count), arrival, prompt, priority=priority, tenant=tenant, forecast=forecast, max_tokens=1000
        )
        self.count += 1
        return Entry(request, size)

    def enter(self, entry):
        self.queue.push(entry)
        self.reference.fresh.append(entry)
        expected = entry.request.forecast.expected if entry.request.forecast.known else self.mean()
        assert entry.expected == expected

    def mean(self):
        return self.tokens / self.done if self.done else PRIOR_TOKENS

    @rule(now=TIMES)
    def reorder(self, now):
        self.catch_up(now)
        self.queue.reorder(now)

    def catch_up(self, now):
        """The reference's reorder."""
        for entry, tokens in self.ended:
            self.reference.correct(entry, tokens - self.charges[entry])
        self.reference.reorder(now, self.mean())
        for entry, charge in self.evicted:
            self.reference.correct(entry, -charge)
        self.ended, self.evicted, self.popped = [], [], []

    @precondition(lambda self: self.reference.placed)
    @rule()
    def pop(self):
        before = self.reference.copy()
        shown = self.queue.peek()
        entry, charge = self.reference.pop()
        assert self.queue.pop() is shown is entry
        self.popped.append((entry, before, charge))

    @precondition(lambda self: self.popped)
    @rule()
    def put_back(self):
        entry, before, _ = self.popped.pop()
        before.fresh = self.reference.fresh
        self.reference = before
        self.queue.put_back(entry)
        assert self.queue.peek() is entry

    @rule(most=st.integers(0, 7))
    def upcoming(self, most):
        """What it shows is what would be popped, and nothing has happened."""
        ahead, shown = self.reference.copy(), self.queue.upcoming(most)
        assert len(shown) == min(most, len(self.reference.placed))
        assert all(entry is ahead.pop()[0] for entry in shown)

    @precondition(lambda self: self.popped)
    @rule(target=running)
    def admit(self):
        admitted = [entry for entry, _, _ in self.popped]
        self.charges.update((entry, charge) for entry, _, charge in self.popped)
        self.popped = []
        return multiple(*admitted)

    @precondition(lambda self: not self.popped)
    @rule(entry=consumes(running), tokens=SIZES)
    def finish(self, entry, tokens):
        self.queue.finished(entry, tokens)
        self.done, self.tokens = self.done + 1, self.tokens + tokens
        self.ended.append((entry, tokens))

    @precondition(lambda self: not self.popped)
    @rule(entry=consumes(running), size=SIZES)
    def evict(self, entry, size):
        entry.estimate, entry.attempts = max(size, entry.estimate), entry.attempts + 1
        self.evicted.append((entry, self.charges[entry]))
        self.enter(entry)

    @precondition(lambda self: len(self.queue) and not self.popped)
    @rule(data=st.data())
    def cancel(self, data):
        entry = data.draw(st.sampled_from(self.reference.placed + self.reference.fresh))
        assert self.queue.remove(entry.request.id) is entry
        for line in (self.reference.placed, self.reference.fresh):
            if entry in line:
                line.remove(entry)

    @invariant()
    def the_head_is_the_references(self):
        assert self.queue.peek() is self.reference.head()

    @invariant()
    def everyone_who_waits_is_here_once(self):
        waiting = {e.request.id: e for e in self.reference.placed + self.reference.fresh}
        assert {e.request.id: e for e in self.queue} == waiting
        assert len(self.queue) == len(waiting)
        assert all(i in self.queue for i in waiting)

    def teardown(self):
        """What is left comes out in the reference's order."""
        if not hasattr(self, "queue"):
            return
        self.reorder(11.0)
        while self.reference.placed:
            self.pop()
        assert self.queue.peek() is None
        assert len(self.queue) == 0


QueueMachine.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
test_the_queue_agrees_with_looking_at_everyone = QueueMachine.TestCase

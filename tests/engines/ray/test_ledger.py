"""The ledger of requests and their expected tokens: what is booked is there until it ends, and never after."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soonest.engines.ray.ledger import LONGEST, Ledger, Load

REPLICAS = ("a", "b", "c")
replicas = st.sampled_from(REPLICAS)
requests = st.sampled_from(["1", "2", "3"])  # few, so that one name is there several times
tokens = st.one_of(st.none(), st.floats(0, 1e6))
steps = st.one_of(
    st.tuples(st.just("book"), requests, replicas, tokens),
    st.tuples(st.just("move"), st.integers(0, 20), replicas),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("sent"), st.integers(0, 20)),
    st.tuples(st.just("ended"), requests, replicas),
    st.tuples(st.just("lost"), replicas),
    st.tuples(st.just("keep"), st.sets(replicas)),
    st.tuples(st.just("wait"), st.floats(0, LONGEST)),
)


class Twice:
    """A ledger, and beside it a plain list of what is booked where; what is at no known replica is nowhere."""

    def __init__(self):
        self.ledger, self.known, self.rows, self.made = Ledger(REPLICAS), set(REPLICAS), [], []
        self.now = 0.0

    def book(self, request, replica, asked):
        expected = self.ledger.expected(asked)
        assert expected >= 1
        self.made.append(self.ledger.book(request, replica, expected, self.now))
        self.rows.append((request, replica, expected, self.now))

    def move(self, number, replica):
        if not self.made:
            return
        number %= len(self.made)
        before = self.made[number]
        there = self.ledger.holds(before)
        self.made[number] = self.ledger.move(before, replica, self.now)
        if there and before.replica == replica:
            assert self.made[number] is before
            return
        if there:
            self.rows.remove((before.request, before.replica, before.tokens, before.since))
        self.rows.append((before.request, replica, before.tokens, self.now))

    def sent(self, number):
        if self.made:
            self.ledger.sent(self.made[number % len(self.made)])

    def cancel(self, number):
        if self.made:
            booking = self.made[number % len(self.made)]
            if self.ledger.holds(booking):
                self.rows.remove((booking.request, booking.replica, booking.tokens, booking.since))
            self.ledger.cancel(booking)

    def ended(self, request, replica):
        there = next((row for row in self.rows if row[:2] == (request, replica)), None)
        self.ledger.ended(request, replica)
        if there is not None:
            self.rows.remove(there)

    def lost(self, replica):
        self.ledger.lost(replica)
        self.known.discard(replica)

    def keep(self, replicas):
        self.ledger.keep(replicas)
        self.known = set(replicas)

    def wait(self, seconds):
        self.now += seconds

    def check(self):
        self.rows = [row for row in self.rows if row[1] in self.known and row[3] >= self.now - LONGEST]
        assert self.ledger.replicas == self.known
        for replica in REPLICAS:
            rows = [row for row in self.rows if row[1] == replica]
            total = math.fsum(row[2] for row in rows)
            found = self.ledger.load(replica, self.now)
            assert found == (len(rows), pytest.approx(total, abs=1e-3))
            assert rows or found == Load(0, 0)
            for one in self.made:
                itself = self.ledger.holds(one) and one.replica == replica
                rest = (len(rows) - itself, pytest.approx(total - itself * one.tokens, abs=1e-3))
                assert self.ledger.load(replica, self.now, but=one) == rest
            self.check_others(replica, len(rows), total)

    def check_others(self, replica, count, total):
        """Two more than this router sent there, by the replica's own count, are two of other routers."""
        sent = sum(self.ledger.holds(one) and one.replica == replica and one.sent for one in self.made)
        assert self.ledger.load(replica, self.now, sent) == self.ledger.load(replica, self.now)
        if replica in self.known:
            more = (count + 2, pytest.approx(total + 2 * self.ledger.mean, abs=1e-3))
            assert self.ledger.load(replica, self.now, sent + 2) == more


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy
@given(st.lists(steps, max_size=60))
def test_outstanding_is_the_sum_of_what_was_booked_and_has_not_ended(steps):
    both = Twice()
    for what, *words in steps:
        both.now += 1
        getattr(both, what)(*words)
        both.check()


def test_a_request_without_a_forecast_counts_as_the_mean_of_the_others():
    ledger = Ledger("a")
    assert ledger.expected(None) == 1
    assert [ledger.expected(count) for count in (100, 300)] == [100, 300]
    assert ledger.expected(None) == 200


def test_requests_of_other_routers_count_as_the_mean_and_an_old_count_takes_nothing_away():
    ledger = Ledger("a")
    booking = ledger.book("1", "a", ledger.expected(50), 0)
    assert ledger.load("a", 0, ongoing=2) == (3, 50 + 2 * 50)
    ledger.sent(booking)
    assert ledger.load("a", 0, ongoing=3) == (3, 50 + 2 * 50)
    assert ledger.load("a", 0, ongoing=0) == (1, 50)
    assert ledger.load("gone", 0, ongoing=3) == (0, 0)


def test_a_booking_whose_end_nobody_told_is_forgotten_in_time():
    ledger = Ledger("a")
    ledger.book("1", "a", 100, 0)
    ledger.book("2", "a", 30, 10)
    assert ledger.load("a", LONGEST) == (2, 130)
    assert ledger.load("a", LONGEST + 5) == (1, 30)

"""The ledger of expected tokens: what is booked is there until it ends, and never after."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soonest.engines.ray.ledger import SLOWEST, Ledger

REPLICAS = ("a", "b", "c")
replicas = st.sampled_from(REPLICAS)
requests = st.sampled_from(["1", "2", "3"])  # few, so that one name is there several times
tokens = st.one_of(st.none(), st.floats(0, 1e6))
steps = st.one_of(
    st.tuples(st.just("book"), requests, replicas, tokens),
    st.tuples(st.just("move"), st.integers(0, 20), replicas),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("ended"), requests, replicas),
    st.tuples(st.just("lost"), replicas),
    st.tuples(st.just("keep"), st.sets(replicas)),
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
        self.rows.append((request, replica, expected))

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
            self.rows.remove((before.request, before.replica, before.tokens))
        self.rows.append((before.request, replica, before.tokens))

    def cancel(self, number):
        if self.made:
            booking = self.made[number % len(self.made)]
            if self.ledger.holds(booking):
                self.rows.remove((booking.request, booking.replica, booking.tokens))
            self.ledger.cancel(booking)

    def ended(self, request, replica):
        there = next((row for row in self.rows if row[:2] == (request, replica)), None)
        assert self.ledger.ended(request, replica, self.now) == (there is not None)
        if there is not None:
            self.rows.remove(there)

    def lost(self, replica):
        self.ledger.lost(replica)
        self.known.discard(replica)

    def keep(self, replicas):
        self.ledger.keep(replicas)
        self.known = set(replicas)

    def check(self):
        self.rows = [row for row in self.rows if row[1] in self.known]
        assert self.ledger.replicas == self.known
        for replica in REPLICAS:
            rows = [row for row in self.rows if row[1] == replica]
            assert self.ledger.count(replica) == len(rows)
            assert self.ledger.outstanding(replica) == pytest.approx(math.fsum(row[2] for row in rows), abs=1e-3)
            assert rows or self.ledger.outstanding(replica) == 0
            assert 1 / SLOWEST <= self.ledger.slowness(replica) <= SLOWEST


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy
@given(st.lists(steps, max_size=60))
def test_outstanding_is_the_sum_of_what_was_booked_and_has_not_ended(steps):
    both = Twice()
    for what, *words in steps:
        both.now += 1
        getattr(both, what)(*words)
        both.check()


@settings(deadline=None)
@given(st.integers(1, 8), st.floats(1.5, 5))
def test_a_replica_that_takes_longer_over_the_same_tokens_is_the_slower_one(others, times):
    ledger = Ledger(range(others + 1))
    for turn in range(200):
        for replica in range(others + 1):
            ledger.book("x", replica, ledger.expected(100), turn)
            ledger.ended("x", replica, turn + (times if replica == 0 else 1.0))
    assert ledger.slowness(0) > 1.1
    assert ledger.slowness(1) < 1
    assert ledger.work(0, 100) > ledger.work(1, 100)


def test_a_loaded_replica_is_not_taken_for_a_slow_one():
    ledger = Ledger("ab")
    for turn in range(0, 1000, 10):
        for i in range(5):  # all come together, and one after the other is served in a second
            ledger.book(str(i), "a", ledger.expected(100), turn)
        ledger.book("0", "b", ledger.expected(100), turn)
        for i in range(5):
            assert ledger.ended(str(i), "a", turn + 1 + i)
        assert ledger.ended("0", "b", turn + 1)
    assert ledger.slowness("a") == pytest.approx(1)
    assert ledger.slowness("b") == pytest.approx(1)


def test_a_request_without_a_forecast_counts_as_the_mean_of_the_others():
    ledger = Ledger("a")
    assert ledger.expected(None) == 1
    assert [ledger.expected(count) for count in (100, 300)] == [100, 300]
    assert ledger.expected(None) == 200


def test_requests_of_other_routers_count_as_the_mean_and_an_old_count_takes_nothing_away():
    ledger = Ledger("a")
    ledger.book("1", "a", ledger.expected(50), 0)
    assert ledger.outstanding("a", ongoing=3) == 50 + 2 * 50
    assert ledger.outstanding("a", ongoing=0) == 50
    assert ledger.outstanding("gone", ongoing=3) == 0


def test_a_new_replica_begins_empty_and_at_the_fleet_s_pace():
    ledger = Ledger("ab")
    for turn in range(50):
        for replica in "ab":
            ledger.book("x", replica, ledger.expected(10), turn)
            ledger.ended("x", replica, turn + 1)
    ledger.keep("abc")
    assert ledger.outstanding("c") == 0
    assert ledger.slowness("c") == pytest.approx(1)


def test_a_request_that_is_booked_already_counts_once():
    ledger = Ledger("ab")
    before = ledger.book("1", "a", 100, 0)
    ledger.book("2", "b", 30, 0)
    assert [ledger.work(replica, 100, before=before) for replica in "ab"] == [100, 130]
    assert [ledger.work(replica, 100) for replica in "ab"] == [200, 130]
    ledger.cancel(before)
    assert ledger.work("a", 100, before=before) == 100

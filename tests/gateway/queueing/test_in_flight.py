"""The limit finds the engine's slots, wherever it starts, and keeps its queue near empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.gateway.queueing.in_flight import InFlight


def settle(slots, limit, looks=200):
    """An engine with so many slots, and more requests than it can take: what it says at each look."""
    in_flight, seen = InFlight(limit), []
    for _ in range(looks):
        sent = in_flight.limit
        in_flight.seen(max(0, sent - slots), min(sent, slots), sent, held_back=True)
        seen.append(in_flight.limit)
    return seen


@given(st.integers(1, 512), st.integers(1, 4096))
def test_it_settles_at_the_slots_and_at_most_one_more(slots, start):
    tail = settle(slots, start)[-50:]
    assert min(tail) >= slots
    assert max(tail) <= slots + 1


def test_a_limit_that_does_not_bind_stays():
    in_flight = InFlight(10)
    assert in_flight.seen(0, 3, 3, held_back=False) == 10
    assert in_flight.seen(0, 10, 10, held_back=False) == 10


@pytest.mark.parametrize("running", [0, 3.0])
def test_at_least_one_may_be_in_flight(running):
    assert InFlight(1).seen(50, running, 1, held_back=True) >= 1


def test_memory_that_runs_short_lowers_it():
    in_flight = InFlight(64)
    in_flight.seen(waiting=20, running=44, in_flight=64, held_back=True)
    assert in_flight.seen(waiting=20, running=44, in_flight=64, held_back=True) == 45


def test_a_burst_that_the_engine_has_not_admitted_yet_lowers_nothing():
    in_flight = InFlight(64)
    in_flight.seen(waiting=0, running=0, in_flight=0, held_back=False)
    assert in_flight.seen(waiting=64, running=0, in_flight=64, held_back=True) == 64
    assert in_flight.seen(waiting=1, running=63, in_flight=64, held_back=True) == 64

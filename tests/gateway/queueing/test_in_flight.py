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


def share_out(slots, gateways, looks, demands=None, told=None):
    """Gateways before one engine, which look one after another: their limits, and what waits there, at each look."""
    wanted = demands or [10**6] * len(gateways)
    sent, seen = [0] * len(gateways), []
    for look in range(looks):
        for number, one in enumerate(gateways):
            sent[number] = min(one.limit, wanted[number])
            waiting, running = max(0, sum(sent) - slots), min(sum(sent), slots)
            one.seen(waiting, running, sent[number], held_back=wanted[number] > one.limit, slots=told)
        if look >= looks // 2:
            seen.append(([one.limit for one in gateways], max(0, sum(sent) - slots), sum(sent)))
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


@given(st.integers(8, 300), st.lists(st.integers(1, 400), min_size=2, max_size=4), st.booleans())
def test_gateways_share_an_engine_evenly_and_keep_it_full_and_its_queue_short(slots, starts, told):
    seen = share_out(slots, [InFlight(start) for start in starts], 600, told=slots if told else None)
    several = len(starts)
    mean = [sum(limits[i] for limits, _, _ in seen) / len(seen) for i in range(several)]
    assert max(mean) <= (1.2 if several == 2 else 1.5) * min(mean) + 1
    assert sum(waiting for _, waiting, _ in seen) / len(seen) <= 2 * several
    assert min(total for _, _, total in seen) >= slots


def test_a_gateway_that_comes_gets_its_share_and_one_that_goes_leaves_it():
    two = [InFlight(16), InFlight(1)]
    share_out(16, two, 100, demands=[10**6, 0])
    assert two[0].limit in {16, 17}
    share_out(16, two, 100)
    assert all(7 <= one.limit <= 10 for one in two)
    share_out(16, two[:1], 100)
    assert two[0].limit in {16, 17}


def test_whoever_is_alone_has_all_the_slots_that_are_told_and_nobody_has_more():
    alone, beside = InFlight(3), InFlight(8)
    assert alone.seen(0, 3, 3, held_back=True, slots=16) == 16
    assert alone.seen(4, 12, 16, held_back=True, slots=16) == 16  # memory holds it back, not others
    assert beside.seen(0, 12, 8, held_back=True, slots=9) == 9

"""Who starts where: room, several engines, failures, memory."""

import pytest

from soonest.core import Forecast, PolicyError, Request, Rules
from soonest.core.queue import MAX_IDLE_CLASSES
from soonest.gateway.queueing import Dispatcher, Place, QueueFull
from soonest.policies import policy


def request(name, tokens=10, arrival=0.0, prompt=1, **more):
    return Request(name, arrival, prompt, forecast=Forecast.exact(tokens), **more)


def started(dispatcher, now=0.0):
    return [(t.entry.request.id, t.place.name) for t in dispatcher.admit(now)]


def test_the_limit_holds_and_frees_with_every_end():
    one = Dispatcher(policy("shortest"), [Place("a", limit=2)])
    tickets = {name: one.enter(request(name, tokens)) for name, tokens in (("x", 30), ("y", 10), ("z", 20))}
    assert started(one) == [("y", "a"), ("z", "a")]
    one.finished(tickets["y"], 10, 1.0)
    assert started(one, 1.0) == [("x", "a")]
    one.dropped(tickets["z"])
    one.dropped(tickets["x"])
    assert not one.places[0].in_flight
    assert one.drain_seconds == 0


def test_who_passes_by_leaves_nothing_behind_whatever_priority_it_asks_for():
    one = Dispatcher(policy("shortest"), [Place("a", limit=2)], weights={})
    for number in range(5 * MAX_IDLE_CLASSES):
        ticket = one.pass_by(request(str(number), priority=number, tenant=str(number)), float(number))
        one.finished(ticket, 10, float(number))
    assert len(one.queue._classes) <= MAX_IDLE_CLASSES + 2


def test_choices_count_and_more_than_the_limit_count_as_the_limit():
    one = Dispatcher(policy("fcfs"), [Place("a", limit=4)])
    small, large = one.enter(request("small")), one.enter(request("large"), choices=100)
    assert started(one) == [("small", "a")]
    one.finished(small, 10, 1.0)
    assert started(one, 1.0) == [("large", "a")]
    one.enter(request("next"))
    assert started(one, 1.0) == []
    one.finished(large, 1000, 2.0)
    assert started(one, 2.0) == [("next", "a")]


def test_work_goes_where_the_least_is_expected():
    one = Dispatcher(policy("fcfs"), [Place("a", limit=9), Place("b", limit=9)])
    for name, tokens in (("1", 100), ("2", 10), ("3", 10), ("4", 10)):
        one.enter(request(name, tokens))
    assert started(one) == [("1", "a"), ("2", "b"), ("3", "b"), ("4", "b")]


def test_a_request_that_an_engine_failed_rather_goes_elsewhere_and_blocks_nobody():
    a, b = Place("a", limit=1), Place("b", limit=1)
    one = Dispatcher(policy("fcfs"), [a, b])
    first, _ = one.enter(request("1")), one.enter(request("2"))
    assert started(one) == [("1", "a"), ("2", "b")]
    one.again(first)
    third = one.enter(request("3"))
    assert started(one) == [("3", "a")]  # b is full: the first waits for it
    one.finished(third, 10, 1.0)
    b.up = False
    assert started(one, 1.0) == [("1", "a")]  # nobody else is left to ask


def test_an_engine_that_is_down_gets_nothing():
    place = Place("a", limit=1, up=False)
    one = Dispatcher(policy("fcfs"), [place])
    one.enter(request("1"))
    assert started(one) == []
    place.up = True
    assert started(one) == [("1", "a")]


def test_what_is_reserved_never_exceeds_the_cache_and_an_idle_engine_always_admits():
    place = Place("a", limit=99, rules=Rules.vllm(blocks=10, block_size=10))
    one = Dispatcher(policy("a_max"), [place])
    tickets = {
        name: one.enter(request(name, tokens, prompt=10)) for name, tokens in (("huge", 500), ("x", 50), ("y", 60))
    }
    assert started(one) == [("x", "a")]
    one.finished(tickets["x"], 50, 1.0)
    assert started(one, 1.0) == [("y", "a")]
    one.finished(tickets["y"], 60, 2.0)
    assert started(one, 2.0) == [("huge", "a")]


def test_a_full_queue_says_when_it_will_have_drained():
    one = Dispatcher(policy("fcfs"), [Place("a", limit=1)], most_waiting=2)
    one.enter(request("1", 100))
    one.enter(request("2", 100))
    with pytest.raises(QueueFull) as full:
        one.enter(request("3"))
    assert full.value.retry_after == pytest.approx(200 * one.seconds_per_token)


@pytest.mark.parametrize("words", ["a_ell", "two_point", "a_min_randomized", "response_ratio(a_ell)"])
def test_a_policy_that_ends_attempts_is_refused_by_name(words):
    with pytest.raises(PolicyError, match=policy(words).name):
        Dispatcher(policy(words), [Place("a")])

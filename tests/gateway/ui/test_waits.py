"""What each of the first in line waits for, asked of a real dispatcher."""

import pytest

from soonest.core import Forecast, Request, Rules
from soonest.gateway.queueing import Dispatcher, Place
from soonest.gateway.ui.waits import Why, waits
from soonest.policies import policy


def dispatcher(*places, order="shortest", **more):
    return Dispatcher(policy(order), list(places or (Place("a", limit=1),)), **more)


def enter(to, name, tokens=10, at=0.0, tenant="", priority=0, choices=1):
    forecast = Forecast.interval(tokens, tokens)
    request = Request(name, at, 5, max_tokens=1000, tenant=tenant, priority=priority, forecast=forecast)
    return to.enter(request, choices)


def told(to, now=0.0, most=99):
    return {ticket.entry.request.id: wait for ticket, wait in waits(to, now, most)}


def whys(to, now=0.0):
    return {name: wait.why for name, wait in told(to, now).items()}


def full(to, at=0.0):
    """Somebody runs at every engine."""
    for place in to.places:
        ticket = enter(to, f"runs at {place.name}", 1, at)
        assert to.admit(at) == [ticket]


def test_nobody_waits_for_nothing():
    assert waits(dispatcher(), 0.0, 9) == []


def test_the_order_is_that_in_which_they_start():
    to = dispatcher()
    full(to)
    for name, tokens in (("long", 90), ("short", 5), ("middle", 40)):
        enter(to, name, tokens)
    shown = told(to)
    assert [(name, wait.place) for name, wait in shown.items()] == [("short", 1), ("middle", 2), ("long", 3)]
    assert list(told(to, most=2)) == ["short", "middle"]
    order = []
    for at in (1.0, 2.0, 3.0):
        to.finished(next(iter(to.places[0].running.values())), 1, at)
        order += [ticket.entry.request.id for ticket in to.admit(at)]
    assert order == list(shown)


def test_the_first_waits_for_a_place_and_the_others_for_better_ranks():
    to = dispatcher()
    full(to)
    enter(to, "short", 5)
    enter(to, "long", 50)
    assert whys(to) == {"short": Why.PLACE, "long": Why.RANK}


def test_the_first_waits_for_an_engine_while_none_is_up():
    to = dispatcher(Place("a", limit=1, up=False))
    enter(to, "one")
    assert whys(to) == {"one": Why.ENGINE}


def test_one_that_an_engine_failed_waits_for_another():
    to = dispatcher(Place("a", limit=1), Place("b", limit=1))
    failed = enter(to, "failed")
    to.admit(0.0)
    here, other = failed.place, next(place for place in to.places if place is not failed.place)
    enter(to, "runs elsewhere")
    to.admit(0.0)
    to.again(failed)
    assert here.has_room(1)
    assert not other.has_room(1)
    assert whys(to) == {"failed": Why.ELSEWHERE}


def test_one_that_asks_for_several_answers_waits_for_as_many_places():
    to = dispatcher(Place("a", limit=3))
    full(to)
    enter(to, "three", choices=3)
    assert whys(to) == {"three": Why.PLACES}


def test_where_memory_is_short_it_is_said():
    to = dispatcher(Place("a", limit=9, rules=Rules.vllm(blocks=4, block_size=16)), order="a_max")
    enter(to, "runs", 40)
    to.admit(0.0)
    enter(to, "large", 40)
    assert to.admit(0.0) == []
    assert whys(to) == {"large": Why.MEMORY}


def test_one_that_starts_now_waits_for_nothing():
    to = dispatcher()
    enter(to, "one")
    assert whys(to) == {"one": Why.TURN}


def test_a_class_goes_before_another():
    to = dispatcher()
    full(to)
    enter(to, "urgent", 50, priority=-1)
    enter(to, "short", 5)
    assert whys(to) == {"urgent": Why.PLACE, "short": Why.PRIORITY}


def test_a_tenant_that_had_more_waits_for_its_share():
    to = dispatcher(weights={})
    for name, tokens, tenant in (("first of a", 5, "a"), ("second of a", 5, "a"), ("of b", 50, "b")):
        enter(to, name, tokens, tenant=tenant)
    assert [ticket.entry.request.id for ticket in to.admit(0.0)] == ["first of a"]
    assert whys(to) == {"of b": Why.PLACE, "second of a": Why.SHARE}


@pytest.mark.parametrize(("now", "first"), [(1.0, "short"), (9.0, "old")])
def test_the_overdue_go_first_when_it_is_their_turn(now, first):
    to = dispatcher(overdue_after=5.0, overdue_every=1)
    full(to)
    enter(to, "old", 500, at=0.0)
    enter(to, "short", 5, at=8.0)
    shown = told(to, now)
    assert next(iter(shown)) == first
    assert shown["old"].overdue == (first == "old")
    assert not shown["short"].overdue
    assert {name: wait.why for name, wait in shown.items() if name != first} == (
        {"short": Why.LANE} if first == "old" else {"old": Why.RANK}
    )

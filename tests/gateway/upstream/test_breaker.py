"""When an engine is left alone, and when it is asked again."""

import math

from hypothesis import given
from hypothesis import strategies as st

from soonest.gateway.upstream import Breaker


def test_failures_in_a_row_open_it():
    breaker = Breaker(limit=3)
    breaker.failed(0)
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(1)
    breaker.failed(1)
    assert not breaker.open
    assert breaker.wait(1) == math.inf
    breaker.failed(1)
    assert breaker.open


def test_probes_wait_twice_as_long_each_time_up_to_the_longest():
    breaker = Breaker(limit=1, first=1, longest=5)
    breaker.failed(10)
    waits, now = [], 10.0
    for _ in range(5):
        waits.append(breaker.wait(now))
        now += waits[-1]
        breaker.probed(now, well=False)
    assert waits == [1, 2, 4, 5, 5]


def test_a_probe_that_is_well_closes_it_and_forgets():
    breaker = Breaker(limit=2, first=1)
    breaker.failed(0)
    breaker.looked(0, well=False)
    breaker.probed(1, well=False)
    breaker.probed(3, well=True)
    assert (breaker.open, breaker.failures, breaker.missed, breaker.wait(3)) == (False, 0, 0, math.inf)
    breaker.failed(4)
    breaker.failed(4)
    assert breaker.wait(4) == 1


def test_late_news_change_nothing():
    breaker = Breaker(limit=1, first=1)
    breaker.failed(0)
    breaker.failed(0.9)
    breaker.succeeded()
    assert breaker.open
    assert breaker.wait(1) == 0


EVENTS = ["failed", "succeeded", "bad look", "good look", "bad probe", "good probe"]


@given(st.lists(st.sampled_from(EVENTS)), st.integers(1, 4))
def test_it_is_open_only_after_enough_failures(events, limit):
    breaker, row, looks, opened = Breaker(limit=limit), 0, 0, False
    for now, event in enumerate(events):
        was = breaker.open
        if event == "failed":
            breaker.failed(now)
            row += 1
        elif event == "succeeded":
            breaker.succeeded()
            row, looks = (row, looks) if was else (0, 0)
        elif event in {"bad look", "good look"}:
            breaker.looked(now, well=event == "good look")
            looks = 0 if event == "good look" else looks + 1
        else:
            breaker.probed(now, well=event == "good probe")
            row, looks, opened = (0, 0, False) if event == "good probe" else (row, looks, opened)
        opened = opened or row + looks >= limit
        assert breaker.open == opened
        assert (breaker.wait(now) < math.inf) == breaker.open

"""Slack, and what its order is known to achieve."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import cases

from soonest.core import Entry, Forecast, PolicyError, Request, Rules
from soonest.policies import Deadline
from soonest.sim import Beliefs, Options, StepTime, Workload, simulate

COLUMNS = ("admitted", "first_token", "finished", "evictions")


def slack(policy, now=0.0, *, tokens=100, generated=0, **targets):
    entry = Entry(Request("a", 50.0, 5, forecast=Forecast.exact(tokens), **targets), 1, generated, expected=tokens)
    base, slope = policy.rank(entry)
    return base + slope * now


@pytest.mark.parametrize(
    ("targets", "generated", "left"),
    [
        ({}, 0, 50 + 8),
        ({"ttft_target": 3.0}, 0, 50 + 3),
        ({"e2e_target": 3.0}, 0, 50 + 3 - 0.1 * 100),
        ({"e2e_target": 30.0, "ttft_target": 25.0}, 0, 50 + 30 - 10),
        ({"e2e_target": 30.0, "ttft_target": 5.0}, 0, 50 + 5),
        ({"e2e_target": 30.0, "ttft_target": 5.0}, 60, 50 + 30 - 4),
        ({"e2e_target": 30.0, "ttft_target": 5.0}, 500, 50 + 30 - 0.1),
        ({"ttft_target": 5.0}, 60, 50 + 5),
    ],
)
def test_slack_is_the_time_to_the_nearer_target_less_the_time_it_takes(targets, generated, left):
    policy = Deadline(ttft=8, pace=0.1)
    for now in (50.0, 55.5, 90.0):
        assert slack(policy, now, generated=generated, **targets) == pytest.approx(left - now)


def test_who_has_no_target_gets_the_policy_s():
    assert slack(Deadline(ttft=20, e2e=40, pace=0.1)) == 50 + 20
    assert slack(Deadline(ttft=20, e2e=25, pace=0.1)) == 50 + 25 - 10
    assert slack(Deadline(ttft=math.inf, e2e=25, pace=0.0)) == 50 + 25


@settings(max_examples=60, deadline=None)
@given(cases(policies=("deadline",)), st.floats(0.5, 99))
def test_equal_targets_for_the_first_token_are_arrival_order(case, ttft):
    n = len(case.workload)
    work = replace(case.workload, ttft_target=np.full(n, math.inf), e2e_target=np.full(n, math.inf))
    results = [simulate(work, policy, case.options) for policy in (Deadline(ttft), "fcfs")]
    for name in COLUMNS:
        assert np.array_equal(*(getattr(result, name) for result in results)), name


def alone(arrival, output, policy, **targets):
    """One at a time, in rounds of a second."""
    n = len(output)
    beliefs = Beliefs(tuple(map(Forecast.exact, output)), np.arange(n, dtype=np.int32))
    columns = {name: np.array(column, dtype=float) for name, column in targets.items()}
    work = Workload(np.array(arrival, dtype=float), np.zeros(n, dtype=np.int64), np.array(output), beliefs, **columns)
    return simulate(work, policy, Options(Rules.none(), StepTime.unit()))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9), st.integers(1, 40)), min_size=1, max_size=9))
def test_with_targets_for_the_first_token_the_earliest_deadline_goes_first(jobs):
    arrival, output, target = zip(*sorted(jobs), strict=True)
    due = [a + t for a, t in zip(arrival, target, strict=True)]
    now, waits, starts = 0, set(range(len(jobs))), {}
    while waits:
        now = max(now, min(arrival[i] for i in waits))
        first = min((i for i in waits if arrival[i] <= now), key=lambda i: (due[i], arrival[i], i))
        waits.remove(first)
        starts[first] = now
        now += output[first]
    result = alone(arrival, output, Deadline(), ttft_target=target)
    assert (result.admitted / 1e12).tolist() == [starts[i] for i in range(len(jobs))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40)), min_size=1, max_size=5))
def test_no_order_of_those_who_wait_has_a_smaller_worst_lateness(jobs):
    """Jackson, 1955: with what is to come left out of the slack, by the due dates of the ends."""
    output, target = zip(*jobs, strict=True)

    def lateness(order):
        ends = dict(zip(order, np.cumsum([output[i] for i in order]).tolist(), strict=True))
        return max(ends[i] - target[i] for i in order)

    result = alone([0] * len(jobs), output, Deadline(pace=0.0), e2e_target=target)
    worst = max(result.finished / 1e12 - np.array(target))
    assert worst == min(map(lateness, permutations(range(len(jobs)))))


@pytest.mark.parametrize(
    "arguments", [{"ttft": 0}, {"ttft": -1}, {"e2e": 0}, {"ttft": math.inf}, {"ttft": math.nan}, {"pace": -1}]
)
def test_what_is_no_target_is_refused_by_name(arguments):
    with pytest.raises(PolicyError, match=f"deadline: .*{next(iter(arguments))}"):
        Deadline(**arguments)

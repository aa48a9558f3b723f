"""Levels, and the whole of it against a loop that does one token at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soonest.core import Entry, Forecast, PolicyError, Request, Rules
from soonest.policies import MLFQ
from soonest.sim import Beliefs, Options, StepTime, Workload, simulate


def asked(prompt=0, generated=0, least=1):
    return Entry(Request("a", 0.0, prompt), least, generated=generated)


@pytest.mark.parametrize(
    ("prompt", "generated", "level", "left"),
    [
        (0, 0, 0, 4),
        (0, 3, 0, 1),
        (0, 4, 1, 8),
        (0, 11, 1, 1),
        (0, 12, 2, 16),
        (0, 28, 3, None),
        (0, 9999, 3, None),
        (39, 0, 0, 4),
        (40, 0, 1, 8),  # a prefill of 4 tokens' time: the first level does not last longer
        (79, 7, 1, 1),
        (80, 7, 2, 9),
        (160, 0, 3, None),
        (10**6, 5, 3, None),
    ],
)
def test_a_level_by_prompt_and_tokens(prompt, generated, level, left):
    policy, entry = MLFQ(4, levels=4, prompt=0.1), asked(prompt, generated)
    assert policy.rank(entry) == (level, 0.0)
    assert policy.quantum(entry, 1.0) == left


def test_a_restart_loses_tokens_but_no_experience():
    policy, entry = MLFQ(4), asked(least=13)
    assert policy.rank(entry).base == 2
    assert policy.quantum(entry, 1.0) == 28  # to the end of its level, from nothing
    assert policy.evicted(asked(generated=12)) == 13


def test_no_forecast_is_looked_at():
    policy = MLFQ()
    for forecast in (Forecast.exact(3), Forecast.interval(5, 900), Forecast.unknown(70)):
        entry = Entry(Request("a", 0.0, 900, forecast=forecast), 5, generated=20, expected=forecast.expected)
        assert policy.rank(entry) == policy.rank(asked(900, 20, 5))
        assert policy.quantum(entry, 0.5) == policy.quantum(asked(900, 20, 5), 0.5)
        assert policy.yields(entry)


def by_hand(arrival, prompt, output, slots, quantum, levels, weight):
    """When each ends: every second each of the first `slots` by level gets a token; among equals who runs goes on."""
    lasts = [quantum * 2**i for i in range(levels)]
    lasts[-1] = float("inf")
    level = [next(i for i, tokens in enumerate(lasts) if tokens > weight * p) for p in prompt]
    used, got, ends, running, now = [0] * len(arrival), [0] * len(arrival), {}, [], 0
    while len(ends) < len(arrival):
        here = [i for i, a in enumerate(arrival) if a <= now and i not in ends]
        running = sorted(here, key=lambda i: (level[i], i not in running, i))[:slots]
        now += 1
        for i in running:
            got[i], used[i] = got[i] + 1, used[i] + 1
            if got[i] == output[i]:
                ends[i] = now
            elif used[i] == lasts[level[i]]:
                level[i], used[i] = level[i] + 1, 0
    return [ends[i] for i in range(len(arrival))]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_is_what_a_loop_over_tokens_does(data):
    n = data.draw(st.integers(1, 10))
    arrival, prompt, output = (
        data.draw(st.lists(values, min_size=n, max_size=n))
        for values in (st.integers(0, 30), st.integers(0, 30), st.integers(1, 25))
    )
    arrival.sort()
    quantum, levels, slots = (data.draw(st.integers(1, most)) for most in (3, 4, 3))
    unknown = Beliefs((Forecast.unknown(99),), np.zeros(n, dtype=np.int32))
    work = Workload(np.array(arrival, dtype=float), np.array(prompt), np.array(output), unknown)
    options = Options(Rules(slots=slots, restart=False), StepTime.unit())
    result = simulate(work, MLFQ(quantum, levels, 0.2), options)
    ends = by_hand(arrival, prompt, output, slots, quantum, levels, 0.2)
    assert (result.finished / 1e12).tolist() == ends


@pytest.mark.parametrize(
    "arguments",
    [
        {"quantum": 0},
        {"quantum": 2.5},
        {"levels": 0},
        {"levels": 33},
        {"levels": "many"},
        {"prompt": -1.0},
        {"prompt": float("nan")},
    ],
)
def test_what_makes_no_levels_is_refused_by_name(arguments):
    with pytest.raises(PolicyError, match=f"mlfq: {next(iter(arguments))}"):
        MLFQ(**arguments)

"""Gittins' index against its definition, and its order against the best there is."""

import math
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soonest.core import Entry, Forecast, Request, Rules
from soonest.policies import Gittins
from soonest.sim import Beliefs, Options, StepTime, Workload, simulate

ALONE = Rules(slots=1, restart=False)


def atoms(shares):
    """The law of an answer that takes one of these token counts, with these probabilities."""
    levels, tokens, done = [], [], 0.0
    for count, share in sorted(shares.items()):
        levels += [math.nextafter(done, 1) if done else 0.0, done + share]
        tokens += [count, count]
        done += share
    levels[-1] = 1.0
    return Forecast(tuple(levels), tuple(tokens), min(shares), max(shares))


@st.composite
def laws(draw, points=7, longest=40):
    """Token counts with probabilities."""
    counts = draw(st.lists(st.integers(1, longest), min_size=1, max_size=points, unique=True))
    weights = draw(st.lists(st.integers(1, 9), min_size=len(counts), max_size=len(counts)))
    return {count: weight / sum(weights) for count, weight in zip(counts, weights, strict=True)}


def asked(forecast, generated=0, least=1, **facts):
    return Entry(Request("a", 0.0, 5, forecast=forecast), least, generated=generated, **facts)


def ratios(shares, generated, least):
    """Expected tokens a completion for every moment to stop at, by the definition."""
    left = {x: p for x, p in shares.items() if x >= least}
    total = sum(left.values())
    for stop in range(least, max(left) + 1):
        ends = sum(p for x, p in left.items() if x <= stop) / total
        if ends:
            yield sum(p * (min(x, stop) - generated) for x, p in left.items()) / total / ends, stop


@given(laws(), st.data())
def test_rank_and_quantum_are_the_best_ratio_and_where_it_ends(shares, data):
    generated = data.draw(st.integers(0, max(shares) - 1))
    least = data.draw(st.integers(generated + 1, max(shares)))  # more than one where a restart lost tokens
    policy, entry = Gittins(), asked(atoms(shares), generated, least)
    best = min(ratio for ratio, _ in ratios(shares, generated, least))
    assert policy.rank(entry).base == pytest.approx(best)
    stop = generated + policy.quantum(entry, 1.0)
    assert {stop: ratio for ratio, stop in ratios(shares, generated, least)}[stop] == pytest.approx(best)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=5), st.lists(st.integers(1, 30), min_size=5, max_size=5))
def test_between_its_edges_no_moment_of_a_spread_law_is_better(shares, gaps):
    edges = np.cumsum([0, *gaps[: len(shares)]]).tolist()
    if not any(shares):
        return
    forecast = Forecast.classes(edges, shares)
    best = Gittins().rank(asked(forecast)).base
    law, fine = forecast.after(0), 40
    grid = np.linspace(0, edges[-1], edges[-1] * fine + 1).tolist()
    spent = 0.0
    for before, stop in pairwise(grid):
        spent += (2 - law.below(before) - law.below(stop)) / 2 / fine
        assert law.below(stop) == 0 or best <= spent / law.below(stop) * (1 + 1e-6) + 2 / fine
    assert best <= law.expected * (1 + 1e-9)


def test_an_answer_beyond_its_forecast_is_expected_to_double():
    policy = Gittins()
    beyond = asked(Forecast.exact(10), generated=30, least=11)
    assert policy.rank(beyond).base == 32  # at least 31, so 62 in all
    assert policy.quantum(beyond, 1.0) is None


def test_an_unknown_answer_is_expected_to_take_the_mean_and_keeps_its_place():
    policy, unknown = Gittins(), asked(Forecast.unknown(500), expected=77.0)
    assert policy.rank(unknown) == (77.0, 0.0)
    assert policy.quantum(unknown, 1.0) is None
    assert not policy.yields(unknown)


def simulated(forecasts, outputs, words):
    """The sum of completion times when all wait at the start, one runs at a time, and giving way costs nothing."""
    n = len(outputs)
    beliefs = Beliefs(tuple(forecasts), np.arange(n, dtype=np.int32))
    work = Workload(np.zeros(n), np.zeros(n, dtype=np.int64), np.array(outputs), beliefs)
    return simulate(work, words, Options(ALONE, StepTime.unit())).total_latency


def expected(shares, words):
    """Its mean over all outcomes of these laws."""
    forecasts = [atoms(law) for law in shares]
    return sum(
        math.prod(law[x] for law, x in zip(shares, outputs, strict=True)) * simulated(forecasts, outputs, words)
        for outputs in product(*shares)
    )


def optimum(shares):
    """The least expected sum, by dynamic programming over whom to give each token to."""

    @cache
    def least(ages):
        running = [i for i, age in enumerate(ages) if age is not None]
        return len(running) + min(after(ages, i) for i in running) if running else 0.0

    def after(ages, i):
        longer = sum(p for x, p in shares[i].items() if x > ages[i])
        ends = shares[i].get(ages[i] + 1, 0.0) / longer
        done, on = ((*ages[:i], age, *ages[i + 1 :]) for age in (None, ages[i] + 1))
        return (ends * least(done) if ends else 0.0) + ((1 - ends) * least(on) if ends < 1 - 1e-12 else 0.0)

    return least((0,) * len(shares))


@settings(max_examples=40, deadline=None)
@given(st.lists(laws(points=3, longest=9), min_size=2, max_size=3))
def test_no_order_is_better_where_the_laws_are_true_and_all_wait(shares):
    assert expected(shares, "gittins") == pytest.approx(optimum(shares))
    assert expected(shares, "shortest") >= optimum(shares) - 1e-9


def test_it_gains_where_nobody_can_be_told_apart():
    """Nine in ten answers take 2 tokens, one takes 100, and every forecast says just that."""
    rng = np.random.default_rng(7)
    n = 4000
    outputs = np.where(rng.random(n) < 0.9, 2, 100)
    work = Workload(
        np.cumsum(rng.exponential(11.8 / 0.8, n)),
        np.zeros(n, dtype=np.int64),
        outputs,
        Beliefs((atoms({2: 0.9, 100: 0.1}),), np.zeros(n, dtype=np.int32)),
    )
    means = {
        w: simulate(work, w, Options(ALONE, StepTime.unit())).total_latency for w in ("fcfs", "shortest", "gittins")
    }
    assert means["shortest"] == means["fcfs"]
    assert means["gittins"] < 0.6 * means["fcfs"]

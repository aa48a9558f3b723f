import json
import math
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soonest.core import CapacityError, SoonestError
from soonest.sim.theory import (
    ADAPTIVE_THRESHOLD,
    ADAPTIVE_WORST,
    GEOMETRIC_LIMIT,
    LINEAR_GEOMETRIC_LIMIT,
    a_ell_ratio,
    a_max_bound,
    area_bound,
    distribution_ratio,
    geometric_ratio,
    linear_geometric_ratio,
    optimum,
    pair_matrices,
    two_point_ratio,
    worst_ratio,
    worst_ratio_fit,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "robust.json").read_text(encoding="utf-8"))["instances"]


@pytest.mark.parametrize(
    ("low", "high", "ratio"),
    [(500, 1000, 1.275), (100, 1000, 1.744), (50, 1000, 1.929), (10, 1000, 2.348), (5, 1000, 2.525)],
)
def test_the_worst_ratio_of_a_min(low, high, ratio):
    assert worst_ratio(low, high) == pytest.approx(ratio, abs=0.001)


@pytest.mark.parametrize("alpha", [0.1, 0.05, 0.01, 0.005])
def test_the_logarithm_approximates_the_worst_ratio(alpha):
    assert worst_ratio_fit(alpha) == pytest.approx(worst_ratio(round(1000 * alpha), 1000), abs=0.04)


def test_one_length_costs_the_same_either_way():
    assert worst_ratio(7, 7) == pytest.approx(1)
    assert distribution_ratio([3.0], low=7) == pytest.approx(1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(any), st.integers(1, 9))
def test_a_distributions_ratio_is_the_quotient_of_its_forms_and_no_worse_than_the_worst(weights, low):
    weight = np.array(weights) / sum(weights)
    high = low + len(weights) - 1
    cost, base = pair_matrices(low, high)
    ratio = distribution_ratio(weights, low)
    assert ratio == pytest.approx((weight @ cost @ weight) / (weight @ base @ weight))
    assert ratio <= worst_ratio(low, high) + 1e-9


@pytest.mark.parametrize(("low", "high"), [(1, 20), (10, 100), (50, 100), (90, 100)])
def test_the_worst_mixture_of_two_lengths_has_the_closed_form(low, high):
    share = np.linspace(0.0005, 0.9995, 1999)
    cost, base = (matrix[np.ix_([0, -1], [0, -1])] for matrix in pair_matrices(low, high))
    mixtures = np.stack([share, 1 - share])
    ratios = (mixtures * (cost @ mixtures)).sum(axis=0) / (mixtures * (base @ mixtures)).sum(axis=0)
    assert ratios.max() == pytest.approx(two_point_ratio(low / high), abs=0.001)


def test_geometric_lengths_rise_to_their_limit():
    ratios = [geometric_ratio(q) for q in (0.1, 0.5, 0.9, 0.99, 0.999)]
    assert ratios == sorted(ratios)
    assert ratios[-1] == pytest.approx(GEOMETRIC_LIMIT, abs=1e-5)
    assert ratios[-1] < GEOMETRIC_LIMIT
    assert pytest.approx(1.6822, abs=5e-5) == GEOMETRIC_LIMIT


def test_linearly_weighted_geometric_lengths_tend_to_fourteen_ninths():
    assert linear_geometric_ratio(0.999) == pytest.approx(LINEAR_GEOMETRIC_LIMIT, abs=1e-5)
    assert pytest.approx(1.5556, abs=5e-5) == LINEAR_GEOMETRIC_LIMIT


@pytest.mark.parametrize(("alpha", "ratio"), [(0.5, 1.5), (1 / 3, 1.25), (0.2, 1.125), (0.1, 1.056), (0.05, 1.026)])
def test_the_ratio_of_a_ell(alpha, ratio):
    assert a_ell_ratio(alpha) == pytest.approx(ratio, abs=0.0005)


def test_a_ell_is_continuous_and_gets_worse_with_alpha():
    alphas = np.linspace(0.01, 1, 200)
    ratios = [a_ell_ratio(alpha) for alpha in alphas]
    assert ratios == sorted(ratios)
    assert max(np.diff(ratios)) < 0.025


def test_the_adaptive_rule_switches_where_both_are_equal():
    assert pytest.approx(0.382, abs=0.0005) == ADAPTIVE_THRESHOLD
    assert pytest.approx(1.309, abs=0.0005) == ADAPTIVE_WORST
    assert a_ell_ratio(ADAPTIVE_THRESHOLD) == pytest.approx(ADAPTIVE_WORST)
    assert two_point_ratio(ADAPTIVE_THRESHOLD) == pytest.approx(ADAPTIVE_WORST)
    better = [min(a_ell_ratio(a), two_point_ratio(a)) for a in np.linspace(0.001, 1, 1000)]
    assert max(better) <= ADAPTIVE_WORST


def test_a_max_is_bounded_by_the_square_of_the_width():
    assert a_max_bound(1) == 1
    assert a_max_bound(0.1) == pytest.approx(55)


@pytest.mark.parametrize("function", [two_point_ratio, worst_ratio_fit, a_ell_ratio, a_max_bound])
@pytest.mark.parametrize("alpha", [0, -1, 1.01, math.nan])
def test_alpha_is_a_share(function, alpha):
    with pytest.raises(SoonestError, match="alpha"):
        function(alpha)


@pytest.mark.parametrize(("low", "high"), [(0, 5), (5, 4), (1, 10**6)])
def test_absurd_lengths_are_refused(low, high):
    with pytest.raises(SoonestError, match="low"):
        worst_ratio(low, high)


@pytest.mark.parametrize("weights", [[], [0.0], [1.0, -0.1], [math.nan], [[1.0]]])
def test_weights_that_are_no_weights_are_refused(weights):
    with pytest.raises(SoonestError, match="weights"):
        distribution_ratio(weights)


@pytest.mark.parametrize("q", [0, 1, math.nan])
def test_a_geometric_quotient_lies_below_one(q):
    with pytest.raises(SoonestError, match="q must"):
        geometric_ratio(q)


def test_the_area_bound_of_geometric_lengths():
    outputs = np.random.default_rng(0).geometric(1 / 5, 400_000)
    assert area_bound(np.zeros_like(outputs), outputs, 4000) == pytest.approx(1.54e8, rel=0.005)


def test_the_area_bound_serves_small_areas_first():
    assert area_bound([0, 3], [2, 1], memory=2) == pytest.approx((3 + (3 + 4)) / 2)


def test_the_area_bound_refuses_columns_of_different_length():
    with pytest.raises(SoonestError, match="one length"):
        area_bound([1], [1, 2], 9)


@pytest.mark.parametrize("instance", GOLDEN, ids=lambda instance: instance["name"])
def test_the_optimum_of_each_golden_instance(instance):
    columns = ([r[key] for r in instance["requests"]] for key in ("prompt_tokens", "output_tokens", "arrival"))
    assert optimum(*columns, instance["memory"]) == instance["expect"]["optimum"]["total_latency"]


def by_hand(requests, memory):
    """Every combination of start times."""
    horizon = max(a for _, _, a in requests) + sum(o for _, o, _ in requests)
    best = math.inf
    for starts in product(*(range(a, horizon - o + 1) for _, o, a in requests)):
        held = np.zeros(horizon + 1)
        for (s, o, _), k in zip(requests, starts, strict=True):
            held[k + 1 : k + o + 1] += s + np.arange(1, o + 1)
        if held.max() <= memory:
            best = min(best, sum(k + o - a for (_, o, a), k in zip(requests, starts, strict=True)))
    return best


small = st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 3))


@given(st.lists(small, min_size=1, max_size=3), st.integers(6, 9))
@settings(max_examples=30, deadline=None)
def test_the_optimum_is_the_best_of_all_schedules(requests, memory):
    prompts, outputs, arrivals = zip(*requests, strict=True)
    assert optimum(prompts, outputs, arrivals, memory) == by_hand(requests, memory)
    assert area_bound(prompts, outputs, memory) <= optimum(prompts, outputs, [0] * len(requests), memory) + 1e-9


def test_the_optimum_of_late_arrivals_is_that_of_early_ones():
    assert optimum([1, 1], [3, 3], [10**6, 10**6], 5) == optimum([1, 1], [3, 3], [0, 0], 5)


def test_the_optimum_refuses_what_is_too_large():
    with pytest.raises(SoonestError, match="1 to 12 requests"):
        optimum([0] * 13, [1] * 13, [0] * 13, 9)
    with pytest.raises(SoonestError, match="rounds"):
        optimum([0], [10_000], [0], 10_000)
    with pytest.raises(SoonestError, match="request 0"):
        optimum([0], [0], [0], 9)
    with pytest.raises(CapacityError, match="request 1 needs 7"):
        optimum([0, 3], [1, 4], [0, 0], 6)


def test_without_scipy_the_optimum_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(SoonestError, match=r"pip install 'soonest\[theory\]'"):
        optimum([1], [1], [0], 9)

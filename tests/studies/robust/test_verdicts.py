"""Sentences say what the figures say: made-up figures of both kinds."""

import math

import pytest

from soonest.report import Interval
from soonest.sim.forecasts import oracle
from soonest.studies.robust import a_min, families, online, realistic
from soonest.studies.robust.checks import Check, Order, beside, by_order, compared, gains, least, standing
from soonest.studies.robust.families import FAMILIES, LOWS, RANDOMIZED
from soonest.studies.robust.theory import optimum

SEEDS = (-0.01, 0.0, 0.01)


def around(value):
    return [value + shift for shift in SEEDS]


def test_a_difference_within_its_interval_tells_nothing():
    assert compared(around(1.0), around(1.1)) is Order.BELOW
    assert compared(around(1.2), around(1.1)) is Order.ABOVE
    assert compared([1.0, 1.2, 0.9], [1.1, 1.0, 1.1]) is Order.EITHER
    assert compared([1.0], [2.0]) is Order.EITHER  # one repetition
    assert compared([1.0, 1.0], [1.0, 1.0]) is Order.EITHER


def test_who_never_ends_is_above_who_does():
    assert compared([math.inf, 1.0], [5.0, 5.0]) is Order.ABOVE
    assert compared([5.0, 5.0], [math.inf, 1.0]) is Order.BELOW
    assert compared([math.inf], [math.inf]) is Order.EITHER


def test_the_least_brings_along_whoever_is_not_told_apart_from_it():
    values = {"far": around(2.0), "same": [1.02, 1.0, 0.98], "first": around(0.999), "lost": [math.inf] * 3}
    assert least(values) == ["first", "same"]


def test_orders_are_told_with_their_conditions():
    orders = {"load 0.5": Order.EITHER, "load 0.9": Order.BELOW, "load 1.1": Order.ABOVE, "load 1.3": Order.BELOW}
    assert by_order(orders, beside("b", "at")) == (
        "below b at load 0.9 and load 1.3; above b at load 1.1; not told apart from b at load 0.5"
    )


def test_a_gain_below_zero_costs_and_one_that_may_be_none_is_neither():
    assert gains(Interval(52.71, 1.3)) == "gains 52.7 ± 1.3 %"
    assert gains(Interval(-324.0, 22.0), 0) == "costs 324 ± 22 %"
    assert gains(Interval(0.8, 0.9)).startswith("neither gains nor costs for sure")
    assert gains(Interval(5.0, None)).startswith("neither")


def test_figures_that_stand_are_counted():
    assert standing("figures", [Check("", 1, 1.01, 0.1), Check("", 1, 2, 0.1)]) == "1 of 2 figures"


def arrivals(by_load):
    """Runs in which the published A_min is so much above H-SF at each load, and A_max a tenth at each."""
    runs = {}
    for source in online.SOURCES:
        for load, published in zip(online.LOADS, by_load, strict=True):
            for name in (online.HINDSIGHT, *online.POLICIES):
                value = {online.HINDSIGHT: 1.0, online.A_MIN: published}.get(name, 1.1)
                runs[source, load, name] = [online.Latency(value + s, 2, 3, 0.0) for s in SEEDS]
    for rate in online.RATES:
        for name in online.arms():
            runs["", rate, name] = [online.Latency(10 + s, 20, 30, 0.0) for s in SEEDS]
    return runs


def test_a_load_at_which_a_max_is_better_is_told():
    runs = arrivals((1.1, 1.0, 1.0, 1.2))
    found = online.stands(online.Found(runs, runs))
    assert len(found) == len(online.SOURCES) + 1
    assert (
        "below `a_max` at load 0.7 and load 0.9; above `a_max` at load 1.1; not told apart from `a_max` at load 0.5"
        in found[0]
    )
    assert "at most 1.20 times H-SF's, that of `a_max` 1.10" in found[0]


def test_mc_sf_is_below_its_baseline_or_not_and_the_stuck_are_named():
    runs = arrivals((1, 1, 1, 1))
    said = online.stands(online.Found(runs, runs))[-1]
    assert said.count("(not told apart)") == 2
    assert "Some never end under no rule" in said
    runs["", 50.0, online.MC_SF] = [online.Latency(5 + s, 40, 60, 0.0) for s in SEEDS]
    runs["", 10.0, "alpha-protection 0.02"] = [online.Latency(5, 40, 60, 0.5)] * 3
    said = online.stands(online.Found(runs, runs))[-1]
    assert "at 50 a second mean latency is 0.50 ± 0.00 times its (below), p99 40 s against 20 s" in said
    assert "Some never end under alpha-protection 0.02" in said


def table(published, a_max=2.0):
    runs = {}
    for source in (*a_min.SOURCES, *a_min.ALPHAS):
        for policy in a_min.POLICIES:
            value = {a_min.STORED: published, a_min.A_MAX: a_max}.get(policy, 1.5)
            runs[source, policy] = [a_min.Ratio(value + s, 1.0, 1.0) for s in SEEDS]
    return a_min.Found(runs, (3, 3), 1)


def test_the_published_order_is_below_a_max_or_above_it():
    assert "it is below `a_max` with [1, 1000] for all, ten bins" in a_min.stands(table(1.2))
    assert "it is above `a_max` with [1, 1000] for all, ten bins" in a_min.stands(table(3.0))
    assert a_min.stands(table(3.0)).startswith("All at once: 0 of 29")


def test_all_who_share_the_least_are_named():
    best = a_min.best(table(1.2))
    assert f"ten bins: {a_min.STORED.label};" in best
    assert f"ten bins: {a_min.LIVE.label}," in a_min.best(table(2.0))
    assert a_min.LEAST_AREA.label in a_min.best(table(2.0))


@pytest.mark.parametrize(("ratio", "word"), [(1.5, "stands"), (900.0, "is broken")])
def test_a_max_s_bound_stands_or_is_broken(ratio, word):
    ratios = {(f, low, p): Interval(ratio, 0.1) for f in FAMILIES for low in LOWS for p in families.POLICIES}
    found = families.Found(ratios, 3)
    assert f"alpha) / 2 {word}" in families.stands(found)


def test_the_gap_to_the_closed_form_is_beside_it(monkeypatch):
    monkeypatch.setattr(families, "FAMILIES", FAMILIES[:1])
    ratios = {(f, low, p): Interval(1.5, 0.1) for f in FAMILIES for low in LOWS for p in families.POLICIES}
    section = families.section(families.Found(ratios, 3))
    closed, *_, gaps = section.grids[0].rows
    assert gaps[0] == f"{RANDOMIZED.label} less the closed form"
    for form, gap in zip(closed[1:], gaps[1:], strict=True):
        assert float(gap) == pytest.approx(1.5 - float(form), abs=0.0011)
    assert f"{gaps[1]} off" in section.text[1]


def engine(value):
    """Runs in which `a_max` takes this long, everybody else 1 second."""
    loads = [(rung.name, rung.load) for rung in realistic.RUNGS]
    loads += [(realistic.RUNGS[-1].name, load) for load in realistic.LOADS]
    served = realistic.Served(*[None] * 2, oracle([1]), 0.9, 100.0, 0.1)
    runs = {}
    for name, load in loads:
        runs[name, load, "", realistic.FIRST] = [realistic.Run(1.0 + s, 2, 3, 0) for s in SEEDS]
        runs[name, load, realistic.ORACLE, realistic.HINDSIGHT] = [realistic.Run(0.5, 2, 3, 0)] * 3
        for source in (realistic.FIT, *realistic.INVENTED):
            for p in (*realistic.POLICIES, *realistic.OTHERS):
                mean = value if p == realistic.A_MAX else 1.0
                runs[name, load, source, p] = [realistic.Run(mean + s, 2, 3, 0) for s in SEEDS]
    return realistic.Found(runs, [served] * 3)


def test_a_max_on_an_engine_gains_or_costs():
    near, gained = realistic.stands(engine(0.7))
    assert "`a_max` 1.40 ± 0.05 times" in near
    assert "`a_max` gains 30" in gained
    assert "`a_min` neither gains nor costs for sure" in gained
    assert "`a_max` costs 200" in realistic.stands(engine(3.0))[1]
    assert "at load 0.9: `a_max`;" in realistic.section(engine(0.7)).text[-1]
    assert "`a_max`" not in realistic.section(engine(3.0)).text[-1]


def test_figures_about_the_optimum_fall_where_they_are_far_off():
    crowds = {mean: [(bound, ratio)] * 3 for mean, (_, bound, ratio) in optimum.CROWDS.items()}
    assert "5 of 5 figures stand" in optimum.stands(optimum.Found([(4, 1.016)] * 3, crowds))
    fallen = optimum.stands(optimum.Found([(4, 1.2)] * 3, crowds))
    assert "4 of 5 figures stand" in fallen
    assert "at worst 1.200 times" in fallen

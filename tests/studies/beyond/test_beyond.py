"""What goes beyond the papers: ratios that can be counted by hand, and sentences of made-up figures."""

import numpy as np
import pytest

from soonest.studies import beyond
from soonest.studies.beyond import below_hindsight, better_a_min, engine
from soonest.studies.beyond.below_hindsight import Backlog, Case, Ratio
from soonest.studies.reproduction import Settings
from soonest.studies.robust import a_min
from soonest.studies.robust.a_min import LEAST_AREA, Kind
from soonest.studies.robust.checks import Order
from soonest.studies.robust.lengths import waiting

SEEDS = (-0.01, 0.0, 0.01)
QUICK = Settings(scale=0.01)


def silent(*_):
    pass


def test_four_answers_of_one_token_in_two_tokens_of_memory():
    found = below_hindsight.over_bound(below_hindsight.Task(Case(Backlog("ones", 4, 2, mean=1.0)), 1))
    # two a round, so 1 + 1 + 2 + 2 rounds; the bound lets them end after 0.5, 1, 1.5 and 2
    assert found == pytest.approx(Ratio(6 / 5, 6 / 5, 6 / 5, 1.0, 1.0, 1.0))


def test_pacing_starts_fewer_than_fit_at_once(monkeypatch):
    threes = waiting(np.full(4, 3), np.zeros(4, dtype=np.int64))
    monkeypatch.setattr(below_hindsight, "geometrics", lambda *_: threes)
    found = below_hindsight.over_bound(below_hindsight.Task(Case(Backlog("threes", 4, 6, mean=3.0)), 1))
    # an answer of three holds 1 + 2 + 3: two fit at their end, so 3 + 3 + 6 + 6; the bound is 1 + 2 + 3 + 4;
    # paced, one starts a round until memory is full: 3 + 4 + 5 + 6
    assert found.hindsight == found.plain == pytest.approx(18 / 10)
    assert found.paced == pytest.approx(18 / 10)
    assert found.end == pytest.approx(6 / 4)


@pytest.mark.parametrize("kind", better_a_min.KINDS)
def test_where_all_fit_at_once_every_order_is_hindsight(kind, monkeypatch):
    monkeypatch.setattr(a_min, "REQUESTS", 20)
    for ratio in a_min.simulated(a_min.Task("around(0.5)", 0.0, 1, kind, better_a_min.POLICIES)):
        assert ratio == pytest.approx((1.0, 1.0, 1.0))


def test_short_answers_that_are_known_to_be_short_are_hindsight(monkeypatch):
    monkeypatch.setattr(a_min, "TWO_MEMORY", 40)
    *orders, a_max, area = a_min.simulated(a_min.Task(0.2, 1.0, 1, Kind(restart=False), better_a_min.POLICIES))
    assert all(ratio.mean == 1 for ratio in (*orders, area))  # all end at their lower bound, so nobody is evicted
    assert a_max.mean > 1


def test_recompute_loses_less_than_restart(monkeypatch):
    monkeypatch.setattr(a_min, "TWO_MEMORY", 1000)
    lost, kept = (
        a_min.simulated(a_min.Task(0.2, 0.83, 1, Kind(restart), better_a_min.POLICIES)) for restart in (True, False)
    )
    assert all(one.mean > other.mean for one, other in zip(lost[:4], kept[:4], strict=True))


def table(value):
    """`least_area` at this, every order of A_min at 1.5."""
    runs = {
        (source, policy): [a_min.Ratio((value if policy == LEAST_AREA else 1.5) + s, 1.0, 1.0) for s in SEEDS]
        for source in a_min.SOURCES
        for policy in better_a_min.POLICIES
    }
    return {Kind(restart=False): a_min.Found(runs, (3, 3), 1)}


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.2, "is below every order"), (1.8, "is above one of them"), (1.5, "is not told apart from the best")],
)
def test_least_area_is_below_every_order_or_it_is_said_where_not(value, said):
    (sentence,) = better_a_min.stands(table(value))
    assert sentence.startswith("Recompute, prompts: ")
    assert said in sentence
    assert sentence.endswith(("with [1, 1000] for all, ten bins, o(1 ± 0.1), o(1 ± 0.5) and o(1 ± 0.9).",))


def test_one_order_that_is_lower_is_enough():
    found = table(1.2)[Kind(restart=False)]
    found.runs["bins(10,1000)", a_min.LARGEST] = [a_min.Ratio(1.0 + s, 1.0, 1.0) for s in SEEDS]
    orders = better_a_min.against(found, LEAST_AREA, a_min.ORDERS)
    assert orders.pop("ten bins") is Order.ABOVE
    assert set(orders.values()) == {Order.BELOW}


def test_where_pacing_costs_is_told_as_where_it_pays():
    def runs(paced):
        return [Ratio(1.8, 1.5 + s, paced + s, 1.0, 1.0, 1.0) for s in SEEDS]

    one, other = (Backlog(f"of {n}", n, 9) for n in (1, 2))
    found = {Case(one): runs(1.1), Case(other): runs(1.9)}
    found |= {Case(b, s, r): runs(1.9) for b in (one, other) for s in below_hindsight.SOURCES for r in (True, False)}
    known, unsure = below_hindsight.stands(found)
    assert "is lower for of 1 (1 in 9 tokens); is higher for of 2 (2 in 9 tokens)" in known
    assert "o(1 ± 0.1): lower in 0 and higher in 4 of 4 cases" in unsure


def test_pacing_on_an_engine_is_judged_seed_by_seed_and_by_its_tail():
    def latency(paced):
        usual = dict.fromkeys((engine.BASE, *engine.POLICIES), (1.0, 2.0, 3.0))
        return [{**usual, engine.PACED: (paced + s, 2.0, 6.0 + s)} for s in SEEDS]

    places = [engine.Place(load, source) for load in engine.LOADS for source in engine.SOURCES]
    found = {place: latency(0.9 if place.load > 1 else 1.05) for place in places}
    calm, overload = engine.stands(found)
    assert "Mean latency is higher with exact," in calm
    assert "Mean latency is lower with exact," in overload
    for said in (calm, overload):
        assert "P99 latency is not told apart with" in said
        assert "Longest latency is higher with" in said
    assert engine.section(found).grids[0].rows[-1][-1] == "0.900 ± 0.025"


def test_where_nothing_queues_an_order_changes_nothing(monkeypatch):
    monkeypatch.setattr(engine, "JOBS", 100)
    found = engine.simulated(engine.Task(engine.Place(0.01, "oracle"), 1))
    assert len({found[p] for p in (engine.BASE, "shortest", "a_min", engine.PLAIN)}) == 1


def test_the_study_says_first_what_stands(monkeypatch):
    for where, name, small in (
        (a_min, "REQUESTS", 200), (a_min, "TWO_MEMORY", 200), (a_min, "SHARES", (0.83,)),
        (engine, "JOBS", 200), (below_hindsight, "SMALL", below_hindsight.SMALL[:2]),
        (below_hindsight, "LARGE", ()), (below_hindsight, "UNSURE", below_hindsight.SMALL[:1]),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, small)
    heard = []
    study = beyond.reproduce(QUICK, lambda *told: heard.append(told))
    first, *others = study.sections
    assert first.title == "What stands"
    assert len(first.text) == len(better_a_min.KINDS) + 2 + len(engine.LOADS)
    assert [section.title for section in others] == ["A better A_min", "Below hindsight", "In realistic conditions"]
    assert all(section.grids for section in others)
    assert heard[-1] == ("on an engine", 16, 16)

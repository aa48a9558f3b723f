"""Forecasts of the map have the quality that is stated, and the map says nothing where nothing is to say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from soonest.studies.map.conditions import MEMORY, TAUS, Condition, forecasts, lengths, width
from soonest.studies.map.pages import _grows, _varied, sections
from soonest.studies.map.runs import POLICIES, Cell, Found, Task, compare
from soonest.studies.map.widths import HOLDERS, PLACES, Width, compare_widths

pytest.importorskip("numba")


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("variation", [0.4, 2.0])
def test_a_forecast_ranks_as_well_as_stated_and_keeps_its_coverage(tau, variation):
    place = Condition(variation=variation)
    _, tokens, scores = lengths(place, 11)
    told = forecasts(place, tau, scores, 12)
    expected, low, high = (
        np.array([getattr(told.table[i], name) for i in told.index]) for name in ("expected", "low", "high")
    )
    if tau == 0:
        assert len(set(expected)) == 1
    else:
        assert kendalltau(expected, tokens).statistic == pytest.approx(tau, abs=0.04)
    if tau >= 0:
        assert np.mean((low <= tokens) & (tokens <= high)) >= 0.87
        assert width(variation, tau) >= 1


def test_where_nothing_queues_nothing_changes():
    found = compare(Task(Condition(load=0.2, burstiness=4.0), 3)).values()
    assert all(one.queued < 0.005 for one in found)
    assert all(abs(one.gain) < 0.1 and one.p99 == pytest.approx(1, abs=0.01) for one in found)


def test_a_forecast_that_knows_nothing_is_arrival_order_and_a_good_one_gains():
    found = compare(Task(Condition(load=1.2), 3))
    assert found["shortest", 0.0].gain == 0
    gains = [found["shortest", tau].gain for tau in TAUS]
    assert gains == sorted(gains)
    assert found["response_ratio(shortest)", 0.6].p99 < found["shortest", 0.6].p99


def test_a_narrower_interval_covers_less_and_a_max_then_holds_less():
    found = compare_widths(Task(replace(PLACES[1], load=1.2), 3))
    covered = [share for share, _ in found.values()]
    assert covered == sorted(covered)
    assert found[1.0][0] == pytest.approx(0.9, abs=0.03)
    evicted = [arms["a_max"].evictions for _, arms in found.values()]
    assert evicted[0] > 2 * evicted[2] > 0
    assert found[0.5][1]["a_max"].gain > found[2.0][1]["a_max"].gain


def some(gain, queued):
    return Cell((Found(gain, 1.0, 1.0, queued, 0.0),))


def test_more_varied_lengths_are_said_to_gain_more_only_where_they_do():
    levels = [(0.4, 10.0, 0.2), (1.0, 20.0, 0.2), (2.0, 15.0, 0.2), (1.0, 50.0, 0.7), (2.0, 60.0, 0.7)]
    cells = {(Condition(variation=v), "shortest", 0.6): some(gain, queued) for v, gain, queued in levels[:3]}
    cells |= {(Condition(0.5, variation=v), "shortest", 0.6): some(gain, queued) for v, gain, queued in levels[3:]}
    assert _grows(_varied(cells)) == (2, 3)


def test_every_place_is_in_the_pages():
    levels = [(load, b, s, m, v) for load in (0.5, 0.7, 0.9, 1.0, 1.2) for b in (4.0, 1.0, 0.25) for s in (8, 64)
              for m in MEMORY for v in (0.4, 1.0, 2.0)]  # fmt: skip
    some = compare(Task(Condition(load=1.2), 3))
    cells = {(Condition(*level), p, tau): Cell((some[p, tau],)) for level in levels for p in POLICIES for tau in TAUS}
    widths = {
        (place, k): Width(0.9, {p: Cell((some["a_max", 0.6],)) for p in HOLDERS}) for place in PLACES for k in (1, 2)
    }
    pages = sections(cells, widths)
    assert "180 places" in pages[0].text[0]
    assert [len(page.charts) for page in pages] == [0, 3, 4, 0]
    assert sum(row[2] for row in pages[0].grids[0].rows if row[1] == "shortest") == 180
    assert [row[0] for row in pages[0].grids[1].rows] == ["0.4", "1", "2"]
    assert len(pages[3].grids[1].rows) == 4

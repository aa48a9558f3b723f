"""Forecasts of the map have the quality that is stated, and the map says nothing where nothing is to say."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from soonest.studies.map.conditions import MEMORY, TAUS, Condition, forecasts, lengths, width
from soonest.studies.map.pages import sections
from soonest.studies.map.runs import POLICIES, Cell, Task, compare

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
    found = compare(Task(Condition(load=0.2, burstiness=4.0), 3))
    assert found[0].queued < 0.005
    assert all(abs(one.gain) < 0.1 and one.p99 == pytest.approx(1, abs=0.01) for one in found)


def test_a_forecast_that_knows_nothing_is_arrival_order_and_a_good_one_gains():
    found = {(one.policy, one.tau): one for one in compare(Task(Condition(load=1.2), 3))}
    assert found["shortest", 0.0].gain == 0
    assert found["shortest", -0.5].gain < 0 < found["shortest", 0.4].gain < found["shortest", 1.0].gain
    assert found["response_ratio(shortest)", 0.6].p99 < found["shortest", 0.6].p99


def test_every_place_is_in_the_pages():
    levels = [(load, b, s, m, v) for load in (0.5, 0.7, 0.9, 1.0, 1.2) for b in (4.0, 1.0, 0.25) for s in (8, 64)
              for m in MEMORY for v in (0.4, 1.0, 2.0)]  # fmt: skip
    some = {(one.policy, one.tau): one for one in compare(Task(Condition(load=1.2), 3))}
    cells = {(Condition(*level), p, tau): Cell((some[p, tau],)) for level in levels for p in POLICIES for tau in TAUS}
    pages = sections(cells)
    assert "180 places" in pages[0].text[0]
    assert [len(page.charts) for page in pages] == [0, 3, 4, 0]
    assert sum(row[2] for row in pages[0].grids[0].rows if row[1] == "shortest") == 180

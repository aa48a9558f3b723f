"""Spreads of quantiles, shrunk to what is usual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.predict.text.model import MIDDLE, QUANTILES, SHRINK, Spread

LOGS = st.lists(st.floats(0, 14), min_size=len(QUANTILES), max_size=len(QUANTILES)).map(sorted)


def usual(medians):
    """Rows whose spread is a line in the median."""
    steps = np.array(QUANTILES) - 0.5
    return medians[:, None] + steps * (1 + medians[:, None] / 10)


def test_rows_that_spread_as_usual_are_kept():
    rows = usual(np.linspace(2, 7, 50))
    spread = Spread.of(rows)
    assert np.array([spread.shrunk(row) for row in rows.tolist()]) == pytest.approx(rows)


@given(LOGS)
def test_the_median_stays_and_each_other_quantile_moves_part_of_its_way(row):
    spread = Spread.of(usual(np.linspace(0, 14, 50)))
    rows = np.array([row])
    wanted = usual(rows[:, MIDDLE])
    found = np.array([spread.shrunk(row)])
    assert found[:, MIDDLE] == pytest.approx(rows[:, MIDDLE])
    assert found == pytest.approx((1 - SHRINK) * rows + SHRINK * wanted)


def test_beyond_the_medians_seen_the_spread_stays_that_of_the_outermost():
    spread = Spread.of(usual(np.linspace(2, 7, 50)))
    rows = np.full((1, len(QUANTILES)), 12.0)
    assert np.array([spread.shrunk(rows[0].tolist())]) - 12 == pytest.approx(SHRINK * (usual(np.array([7.0])) - 7))

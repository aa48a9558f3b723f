"""From quantiles to forecasts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Forecast
from soonest.predict.quantiles import LEVELS, LONGEST, forecast, loss, quantile_row, quantile_rows

ANY = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 1 << 40).map(float)


@given(
    st.lists(ANY, min_size=len(LEVELS), max_size=len(LEVELS)), st.integers(0, 1 << 40), st.none() | st.tuples(ANY, ANY)
)
def test_whatever_comes_becomes_a_forecast_within_the_limit(tokens, limit, interval):
    if interval is not None and any(math.isnan(x) for x in interval):
        interval = None
    made = forecast(tokens, limit, 0.9, interval)
    assert made.tokens[-1] <= max(1, min(limit, LONGEST))
    assert 0 <= made.low <= made.high <= max(1, min(limit, LONGEST))


def test_quantiles_that_are_fine_are_kept():
    tokens = [float(10 * i + 10) for i in range(len(LEVELS))]
    made = forecast(tokens, LONGEST)
    assert list(made.tokens) == tokens
    assert (made.low, made.high, made.coverage) == (tokens[2], tokens[-3], None)


@given(st.lists(st.floats(1, 5000), min_size=5, max_size=5))
def test_rows_at_other_levels_are_interpolated_in_the_log(row):
    levels = [0.05, 0.2, 0.5, 0.8, 0.95]
    found = quantile_rows(np.array([row]), levels)[0]
    assert (np.diff(found) >= -1e-9).all()
    for level, count in zip(levels, sorted(row), strict=True):
        assert found[LEVELS.index(level)] == pytest.approx(count)
    middle = np.interp(0.3, levels, np.log(np.sort(row)))
    assert found[LEVELS.index(0.3)] == pytest.approx(np.exp(middle))


def test_the_loss_is_least_for_the_true_law():
    chance = np.random.default_rng(0)
    tokens = np.exp(chance.normal(5, 0.6, 4000)).astype(int)
    exact = forecast(np.quantile(tokens, LEVELS).tolist(), LONGEST)
    for factor in (0.7, 1.4):
        other = forecast((factor * np.quantile(tokens, LEVELS)).tolist(), LONGEST)
        assert np.mean([loss(exact, int(t)) for t in tokens]) < np.mean([loss(other, int(t)) for t in tokens])
    assert loss(Forecast.exact(7), 7) == 0


@given(st.lists(st.floats(-5, 1e9), min_size=5, max_size=5))
def test_a_row_of_plain_numbers_is_the_row_of_an_array(row):
    levels = (0.05, 0.2, 0.5, 0.8, 0.95)
    found = np.maximum.accumulate(quantile_row(row, levels))
    assert found == pytest.approx(quantile_rows(np.array([row]), levels)[0], rel=1e-12)

"""Quantiles of residuals, some of which are only known to be larger."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.predict.stream.residuals import interval_levels, residual_quantiles

ROWS = st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=1, max_size=30)


def slow(rows, level):
    """Row by row: the smallest value at which the estimated law reaches the level."""
    n = len(rows)
    level = level * (1 + 1 / n) if level > 0.5 else level - (1 - level) / n
    alive, risk = 1.0, n
    for value, cut in sorted(rows):
        if not cut:
            alive *= 1 - 1 / risk
        if 1 - alive >= level - 1e-9:
            return value
        risk -= 1
    return max(value for value, _ in rows)


@given(ROWS, st.sampled_from([0.02, 0.05, 0.3, 0.5, 0.8, 0.95]))
def test_quantiles_are_those_of_the_textbook_s_estimate(rows, level):
    values, cut = (np.array(column) for column in zip(*rows, strict=True))
    assert residual_quantiles(values[:, None].astype(float), cut, [level])[0] == slow(rows, level)


def test_the_correction_keeps_the_promise_on_exchangeable_rows():
    chance, inside = np.random.default_rng(0), []
    for _ in range(4000):
        rows = chance.normal(size=(41, 1))
        ends = [residual_quantiles(rows[:40], np.zeros(40, bool), [level])[0] for level in (0.05, 0.95)]
        inside.append(ends[0] <= rows[40, 0] <= ends[1])
    assert np.mean(inside) == pytest.approx(0.9, abs=0.02)


def test_cut_rows_move_quantiles_up():
    rows = np.arange(100.0)[:, None]
    cut = np.arange(100) % 2 == 0
    plain = residual_quantiles(rows, np.zeros(100, bool), [0.5])
    assert residual_quantiles(rows, cut, [0.5]) > plain


def test_what_cannot_fall_out_above_falls_out_below():
    rows = np.arange(1000.0)
    few, some, many = (np.arange(1000) >= 1000 - n for n in (20, 55, 100))
    assert interval_levels(rows, few, (0.05, 0.95)) == (0.05, 0.95)
    assert interval_levels(rows, some, (0.05, 0.95)) == (0.05, 1.0)  # a chance of these answers, maybe
    assert interval_levels(rows, many, (0.05, 0.95)) == pytest.approx((0.1, 1.0))


@pytest.mark.parametrize("share", [0.03, 0.05, 0.07, 0.1, 0.2])
def test_the_promise_holds_however_many_answers_a_limit_cuts(share):
    """Also where about as many are cut as may fall out above, so that chance decides whether the limit is the end."""
    chance, inside = np.random.default_rng(0), []
    for _ in range(1000):
        rows = chance.normal(size=400)
        cut = chance.random(400) < share
        rows[cut] = 5.0
        low, high = interval_levels(rows, cut, (0.05, 0.95))
        ends = [residual_quantiles(rows[:, None], cut, [level])[0] for level in (low, high)]
        asked = chance.normal(size=200)
        free = np.mean((ends[0] <= asked) & (asked <= ends[1]))
        inside.append((1 - share) * free + share * (ends[1] >= 5.0))
    assert 0.898 < np.mean(inside) < 0.93

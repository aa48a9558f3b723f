"""Weighted quantiles of residuals, some of which are only known to be larger."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.predict.stream.residuals import weighted_quantiles

ROWS = st.lists(
    st.tuples(st.integers(-20, 20), st.booleans(), st.sampled_from([0.25, 1.0, 3.0])), min_size=1, max_size=30
)


def slow(rows, level):
    """Row by row: the smallest value at which the estimated law reaches the level."""
    weights = [w for _, _, w in rows]
    effective = sum(weights) ** 2 / sum(w * w for w in weights)
    level = level * (1 + 1 / effective) if level > 0.5 else level - (1 - level) / effective
    alive, risk = 1.0, sum(weights)
    for value, cut, weight in sorted(rows, key=lambda row: (row[0], row[1])):
        if not cut:
            alive *= 1 - weight / risk
        if 1 - alive >= level - 1e-9:
            return value
        risk -= weight
    return max(value for value, _, _ in rows)


@given(ROWS, st.sampled_from([0.02, 0.05, 0.3, 0.5, 0.8, 0.95]))
def test_quantiles_are_those_of_the_textbook_s_estimate(rows, level):
    values, cut, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = weighted_quantiles(values[:, None].astype(float), cut, weights, [level])
    assert found[0] == slow(rows, level)


def test_the_correction_keeps_the_promise_on_exchangeable_rows():
    chance, inside = np.random.default_rng(0), []
    for _ in range(4000):
        rows = chance.normal(size=(41, 1))
        ends = [weighted_quantiles(rows[:40], np.zeros(40, bool), np.ones(40), [level])[0] for level in (0.05, 0.95)]
        inside.append(ends[0] <= rows[40, 0] <= ends[1])
    assert np.mean(inside) == pytest.approx(0.9, abs=0.02)


def test_cut_rows_move_quantiles_up():
    rows = np.arange(100.0)[:, None]
    cut = np.arange(100) % 2 == 0
    plain = weighted_quantiles(rows, np.zeros(100, bool), np.ones(100), [0.5])
    assert weighted_quantiles(rows, cut, np.ones(100), [0.5]) > plain

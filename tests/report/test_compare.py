"""Means and differences over repetitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from soonest.core import SoonestError
from soonest.report import Interval, interval, paired_gain
from soonest.report.compare import student

times = st.floats(1e-3, 1e6)


def test_an_interval_by_hand():
    assert interval([1, 2, 3]) == Interval(2, pytest.approx(4.302653 / math.sqrt(3)))


def test_one_repetition_leaves_the_interval_unknown_not_zero():
    assert interval([5]) == Interval(5, None)
    assert paired_gain([5], [10]) == Interval(50, None)


def test_an_interval_needs_a_repetition():
    with pytest.raises(SoonestError, match="at least one repetition"):
        interval([])


@pytest.mark.parametrize("freedom", [*range(1, 31), 31, 40, 99, 1000, 10**6])
def test_students_t_agrees_with_scipy(freedom):
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-4)


def test_students_t_needs_a_degree_of_freedom():
    with pytest.raises(SoonestError):
        student(0)


@pytest.mark.parametrize("repetitions", [2, 5, 40])
def test_the_interval_holds_the_truth_95_times_in_100(repetitions):
    samples = np.random.default_rng(7).normal(3, 2, (4000, repetitions))
    found = [interval(sample) for sample in samples]
    share = np.mean([abs(i.mean - 3) <= i.half_width for i in found])
    assert share == pytest.approx(0.95, abs=0.012)  # over three standard errors


def test_a_gain_is_taken_repetition_by_repetition():
    gain = paired_gain([5, 30], [10, 40])
    assert gain.mean == pytest.approx((50 + 25) / 2)
    assert gain.half_width == pytest.approx(12.706205 * np.std([50, 25], ddof=1) / math.sqrt(2))


def test_pairing_removes_what_repetitions_share():
    base = np.random.default_rng(3).uniform(1, 100, 10)
    assert paired_gain(0.7 * base, base).half_width == pytest.approx(0, abs=1e-9)
    assert interval(base).half_width > 10


@given(st.lists(times, min_size=1, max_size=8))
def test_nothing_gains_on_itself(values):
    gain = paired_gain(values, values)
    assert gain.mean == 0
    assert gain.half_width == (None if len(values) == 1 else 0)


@given(st.lists(st.tuples(times, times), min_size=2, max_size=8), st.floats(0.01, 100))
def test_a_gain_has_no_unit(pairs, scale):
    ours, base = [a for a, _ in pairs], [b for _, b in pairs]
    scaled = paired_gain([scale * x for x in ours], [scale * x for x in base])
    assert scaled.mean == pytest.approx(paired_gain(ours, base).mean, rel=1e-6, abs=1e-6)


def test_a_gain_on_nothing_or_on_the_unknown_is_unknown():
    for values, base in (([1, 1], [0, 1]), ([1, 1], [math.nan, 1]), ([math.nan, 1], [1, 1])):
        gain = paired_gain(values, base)
        assert math.isnan(gain.mean)
        assert gain.half_width is None


def test_unequal_repetitions_do_not_pair():
    with pytest.raises(SoonestError, match="same repetitions on both sides, got 2 and 3"):
        paired_gain([1, 2], [1, 2, 3])

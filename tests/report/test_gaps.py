"""The histogram of gaps between tokens."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import SoonestError
from soonest.report import Gaps

WIDTH = 0.0101  # relative width of a bin of `Gaps.geometric()`

gap_lists = st.lists(st.floats(1e-3, 100), min_size=1, max_size=40)


def test_numbers_are_linear_inside_a_bin():
    gaps = Gaps(np.array([0.0, 2.0, 4.0]), np.array([1, 3]))
    assert gaps.total == 4
    assert gaps.mean == pytest.approx((1 + 3 * 3) / 4)
    assert [gaps.percentile(p) for p in (0, 25, 62.5, 100)] == [0, 2, 3, 4]


def test_the_spread_counts_the_inside_of_a_bin_as_even():
    assert Gaps(np.array([0.0, 12.0]), np.array([7])).std == pytest.approx(12 / math.sqrt(12))


def test_empty_bins_hold_no_percentile():
    gaps = Gaps(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 0, 1]))
    assert [gaps.percentile(p) for p in (0, 50, 75)] == [1, 2, 3.5]


def test_no_gap_has_no_number():
    gaps = Gaps.geometric()
    assert gaps.total == 0
    assert all(math.isnan(n) for n in (gaps.mean, gaps.std, gaps.percentile(50)))


def test_gaps_beyond_the_edges_are_kept_in_the_outermost_bins():
    gaps = Gaps.geometric(1, 100, 2).add(np.array([0.0, 0.5, 1.0, 10.0, 1e6]))
    assert gaps.counts.tolist() == [3, 2]


@given(gap_lists)
def test_numbers_are_right_to_a_bins_width(values):
    gaps = Gaps.geometric().add(np.array(values))
    assert gaps.mean == pytest.approx(np.mean(values), rel=WIDTH)
    assert gaps.std == pytest.approx(np.std(values), abs=WIDTH * max(values))
    for percent in (1, 50, 99):
        exact = np.percentile(values, percent, method="inverted_cdf")
        assert gaps.percentile(percent) == pytest.approx(exact, rel=WIDTH)


@given(gap_lists, gap_lists)
def test_merging_is_as_good_as_counting_together(some, others):
    merged = Gaps.geometric().add(np.array(some)).merge(Gaps.geometric().add(np.array(others)))
    assert merged.counts.tolist() == Gaps.geometric().add(np.array(some + others)).counts.tolist()


def test_histograms_with_other_edges_do_not_merge():
    with pytest.raises(SoonestError, match="same edges"):
        Gaps.geometric(bins=10).merge(Gaps.geometric(bins=11))


@pytest.mark.parametrize(
    ("edges", "counts"),
    [
        ([0.0, 1.0], [1, 2]),
        ([0.0], []),
        ([0.0, 1.0], [-1]),
        ([1.0, 1.0], [1]),
        ([-1.0, 1.0], [1]),
        ([0.0, math.inf], [1]),
        ([0.0, math.nan, 1.0], [1, 1]),
    ],
)
def test_edges_must_increase_and_counts_must_match(edges, counts):
    with pytest.raises(SoonestError):
        Gaps(np.array(edges), np.array(counts, dtype=np.int64))


@pytest.mark.parametrize(("low", "high", "bins"), [(0, 1, 5), (2, 1, 5), (1, 2, 0)])
def test_geometric_edges_need_a_range_above_zero(low, high, bins):
    with pytest.raises(SoonestError, match="0 < low_s < high_s"):
        Gaps.geometric(low, high, bins)

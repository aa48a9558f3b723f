"""Running quantiles: near the exact ones, forgetful, and right about answers that were cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.predict.quantiles import LEVELS, LONGEST
from soonest.predict.stream.lengths import BINS, EDGES, Lengths

COUNTS = st.lists(st.integers(0, LONGEST), min_size=1, max_size=60)


@given(COUNTS)
def test_quantiles_are_within_a_bin_of_the_exact_ones(counts):
    found = Lengths(1e9).extend(counts, [False] * len(counts)).quantiles()
    exact = np.quantile(np.maximum(counts, 1), LEVELS, method="inverted_cdf")
    low, high = (np.quantile(np.maximum(counts, 1), LEVELS, method=m) for m in ("lower", "higher"))
    assert (np.array(found) >= np.minimum(low, exact) / 1.05 - 1).all()
    assert (np.array(found) <= np.maximum(high, exact) * 1.05 + 1).all()


@given(COUNTS, st.data())
def test_the_law_of_cut_answers_is_kaplan_and_meier_s_estimate(counts, data):
    cut = data.draw(st.lists(st.booleans(), min_size=len(counts), max_size=len(counts)))
    lengths = Lengths(1e9).extend(counts, cut)
    place = [next(b for b in range(BINS) if max(1, c) < EDGES[b + 1] * (1 + 1e-12)) for c in counts]
    alive, expected = 1.0, np.zeros(BINS)
    for b in sorted(set(place)):  # answer by answer, as the textbook does it
        risk = sum(p >= b for p in place)
        ends = sum(p == b and not c for p, c in zip(place, cut, strict=True))
        expected[b] += alive * ends / risk
        alive *= 1 - ends / risk
    expected[max(place)] += alive
    assert lengths.law() == pytest.approx(expected, abs=1e-5)


def test_old_answers_fade():
    lengths = Lengths(50).extend([1000] * 500, [False] * 500)
    for _ in range(200):
        lengths.add(10)
    assert lengths.quantiles()[LEVELS.index(0.9)] < 12
    assert lengths.weight == pytest.approx(50, rel=1e-3)


def test_weights_stay_finite_for_ever():
    lengths = Lengths(2)
    for _ in range(2000):
        lengths.add(5)
    assert np.isfinite(lengths.state()).all()
    assert lengths.quantiles()[7] == pytest.approx(5, abs=0.3)


@given(COUNTS, st.floats(1.5, 1e6))
def test_what_is_saved_comes_back(counts, window):
    lengths = Lengths(window).extend(counts, [c % 3 == 0 for c in counts])
    assert Lengths.restored(window, lengths.state()).quantiles() == lengths.quantiles()


@pytest.mark.parametrize(
    "state", [np.zeros((2, 3)), np.full((2, BINS + 1), np.nan), -np.ones((2, BINS + 1)), np.zeros((2, BINS + 1))]
)
def test_what_was_never_saved_is_refused(state):
    with pytest.raises(ValueError, match="histogram"):
        Lengths.restored(100, state)

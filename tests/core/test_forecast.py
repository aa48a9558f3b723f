"""Laws of a forecast: a quantile function, its mean, and what conditioning does to it."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from soonest.core import Forecast, ForecastError
from soonest.core.forecast import MAX_LEVELS, MAX_TOKENS

COUNTS = st.integers(0, 4000) | st.floats(0, 4000, allow_subnormal=False)


@st.composite
def laws(draw, counts=COUNTS):
    n = draw(st.integers(2, MAX_LEVELS))
    inner = draw(st.lists(st.floats(0.001, 0.999), min_size=n - 2, max_size=n - 2, unique=True))
    tokens = sorted(draw(st.lists(counts, min_size=n, max_size=n)))
    low, high = sorted(draw(st.tuples(st.integers(0, 4000), st.integers(0, 4000))))
    return Forecast((0.0, *sorted(inner), 1.0), tuple(tokens), low, high)


@given(laws(), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_never_decrease_and_stay_in_the_support(law, a, b):
    a, b = sorted((a, b))
    assert law.tokens[0] <= law.quantile(a) <= law.quantile(b) + 1e-9 <= law.tokens[-1] + 2e-9


@given(laws())
def test_the_quantile_at_a_level_is_its_token_count(law):
    for level, count in zip(law.levels, law.tokens, strict=True):
        assert law.quantile(level) == pytest.approx(count, abs=1e-9)


@given(laws(), st.floats(-1, 4100))
def test_below_is_the_share_of_the_quantiles_that_do_not_exceed(law, tokens):
    share = law.below(tokens)
    assert 0 <= share <= 1
    if share > 0:
        assert law.quantile(share * (1 - 1e-9)) <= tokens + 1e-6
    if share < 1:
        assert law.quantile(share + (1 - share) * 1e-9) >= tokens - 1e-5


@given(laws(), st.floats(-1, 4100), st.floats(-1, 4100))
def test_below_never_decreases(law, a, b):
    a, b = sorted((a, b))
    assert law.below(a) <= law.below(b) + 1e-12


@given(laws())
@example(Forecast((0.0, 0.1, 0.3, 1.0), (7, 7, 7, 7), 7, 7))
@example(Forecast((0.0, 0.1, 0.7, 0.8, 1.0), (0.1, 0.1, 0.1, 0.1, 0.1), 0, 1))
def test_the_mean_is_that_of_the_quantiles_and_inside_the_support(law):
    assert law.tokens[0] <= law.expected <= law.tokens[-1]
    sampled = np.interp((np.arange(4000) + 0.5) / 4000, law.levels, law.tokens).mean()
    assert law.expected == pytest.approx(sampled, abs=2.0)


def conditioned(law, generated, level):
    """By CDF algebra: the quantile of the answers longer than `generated`, which have at least one token more."""
    gone = law.below(generated)
    return max(law.quantile(min(1.0, gone + level * (1 - gone))), generated + 1)


@given(laws(), st.integers(0, 4100), st.floats(0, 1))
@example(Forecast((0.0, 0.9, 1.0), (0, 4.5, 1000), 0, 1000), 4, 0.4)
def test_after_is_the_law_of_the_answers_that_are_longer(law, generated, level):
    after = law.after(generated)
    if after.exhausted or after is law:
        return
    lower, upper = (conditioned(law, generated, min(max(level + shift, 0.0), 1.0)) for shift in (-1e-7, 1e-7))
    slack = 1e-5 * after.tokens[-1]  # for the shift, where the law is steep
    assert lower - slack <= after.quantile(level) <= upper + 1 + slack


@given(laws(), st.integers(0, 4100), st.integers(0, 4100))
def test_in_two_steps_the_support_is_the_same_as_in_one(law, a, b):
    a, b = sorted((a, b))
    once, twice = law.after(b), law.after(a).after(b)
    assert (once.tokens[0], once.tokens[-1]) == (twice.tokens[0], twice.tokens[-1])
    assert once.exhausted == twice.exhausted


@given(laws(), st.integers(0, 5000))
def test_after_more_tokens_the_support_starts_at_the_next(law, generated):
    after = law.after(generated)
    assert after.tokens[0] >= generated + 1
    assert after.low >= generated + 1 or after is law
    assert after.tokens[-1] == max(law.tokens[-1], generated + 1) or after.exhausted
    assert after.expected >= law.expected - 1e-6
    if law.tokens[0] < generated + 1:
        assert after.coverage is None


@given(laws(), st.integers(0, 5000))
def test_past_the_top_it_is_one_more_and_exhausted(law, generated):
    after = law.after(generated)
    if generated >= law.tokens[-1]:
        assert after.exhausted
        assert after.tokens == (generated + 1, generated + 1)
        assert (after.low, after.high, after.expected) == (generated + 1,) * 2 + (generated + 1.0,)
        assert after.after(generated + 5).exhausted


@given(
    st.lists(st.floats(0, 1, allow_subnormal=True), min_size=14, max_size=14, unique=True),
    st.lists(st.integers(0, 30), min_size=16, max_size=16),
    st.integers(0, 31),
)
def test_levels_however_close_stay_strictly_increasing_after_conditioning(inner, tokens, generated):
    inner = [level for level in inner if 0 < level < 1]
    levels = (0.0, *sorted(inner), 1.0)
    law = Forecast(levels, tuple(sorted(tokens[: len(levels)])), 0, 30)
    after = law.after(generated)  # would raise
    assert after.tokens[-1] == max(law.tokens[-1], generated + 1) or after.below(law.tokens[-1]) == 1


@given(st.floats(0.1, 0.9), st.integers(1, 40))
def test_a_gap_between_classes_survives_conditioning(share, generated):
    law = Forecast.classes((0, 50, 100, 200), (share, 0, 1 - share))
    after = law.after(generated)
    assert after.below(99) == pytest.approx(after.below(51), abs=1e-9)
    assert after.below(51) == pytest.approx(
        (law.below(50) - law.below(generated)) / (1 - law.below(generated)), abs=1e-9
    )


@given(st.integers(10, 49))
def test_inside_a_gap_nothing_is_left_below_its_end(generated):
    law = Forecast.classes((0, 10, 50, 200), (0.5, 0, 0.5)).after(generated)
    assert law.below(49.9) == pytest.approx(0, abs=1e-9)
    assert law.expected == pytest.approx(125)


def test_neighbouring_levels_do_not_join_when_conditioning_rounds():
    for i in range(2000):
        level = 0.3 + i * 3.1e-4
        law = Forecast((0.0, level, math.nextafter(level, 1), 1.0), (0, 10, 100, 200), 0, 200)
        for generated in (1, 3, 7):
            assert law.after(generated).below(99) == pytest.approx(law.after(generated).below(10), abs=1e-6)


def test_an_exact_forecast_is_an_atom():
    law = Forecast.exact(7)
    assert law.expected == law.quantile(0) == law.quantile(0.3) == law.quantile(1) == 7
    assert (law.below(6.999), law.below(7), law.coverage, law.known) == (0.0, 1.0, 1.0, True)
    assert law.after(6) is law
    assert law.after(7) == Forecast((0.0, 1.0), (8, 8), 8, 8, exhausted=True)


def test_an_interval_is_uniform_and_promises_nothing():
    law = Forecast.interval(10, 30)
    assert (law.expected, law.low, law.high, law.coverage) == (20.0, 10, 30, None)
    assert law.quantile(0.25) == 15
    assert law.below(25) == 0.75
    assert law.after(9) is law
    assert law.after(19) == Forecast.interval(20, 30)


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=3).map(sorted))
def test_a_hint_has_its_interval_and_its_mean(numbers):
    low, expected, high = numbers
    law = Forecast.hint(low, expected, high)
    assert law.low == math.floor(low)
    assert law.high == math.ceil(high)
    assert law.expected == pytest.approx(expected, abs=1e-2)
    assert law.known
    assert law.coverage is None


@pytest.mark.parametrize("numbers", [(2, 1, 3), (1, 4, 3), (-1, 0, 1), (0, math.nan, 1), (0, 1, math.inf)])
def test_a_hint_out_of_order_is_refused(numbers):
    with pytest.raises(ForecastError):
        Forecast.hint(*numbers)


@pytest.mark.parametrize("said", [[1, 2, 3], (1, 2.5, 3.0), [7, 7, 7], list(np.array([1, 2, 3]))])
def test_a_hint_is_told_in_three_numbers(said):
    assert Forecast.told(said) == Forecast.hint(*map(float, said))


NO_HINTS = [
    None, 5, "159", ["1", "5", "9"], {1: 1, 5: 5, 9: 9}, [], [1, 2], [1, 2, 3, 4], [1, 2, 10**400], [1, None, 3],
    [1, [2], 3], [3, 2, 1], [1, 2, math.nan],
]  # fmt: skip


@pytest.mark.parametrize("said", NO_HINTS, ids=str)
def test_whatever_else_is_told_is_no_hint(said):
    with pytest.raises(ForecastError):
        Forecast.told(said)


def test_conditioning_ends_the_promise():
    law = Forecast((0.0, 0.5, 1.0), (10, 20, 30), 12, 28, coverage=0.8)
    assert law.after(9).coverage == 0.8
    assert law.after(10).coverage is None
    assert (law.after(15).low, law.after(15).high) == (16, 28)
    assert (law.after(28).low, law.after(28).high) == (29, 29)


@given(st.integers(1, MAX_TOKENS), st.integers(0, 100))
def test_unknown_stays_unknown_and_has_at_least_one_token(limit, generated):
    law = Forecast.unknown(limit)
    assert (law.low, law.high, law.known, law.tokens) == (1, limit, False, (1, limit))
    assert not law.after(generated).known


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(1, 500), st.floats(0.1, 1))
def test_classes_keep_their_probabilities_and_their_central_interval(chances, width, coverage):
    assume(max(chances) > 1e-6)
    edges = [width * i for i in range(len(chances) + 1)]
    total = math.fsum(chances)
    law = Forecast.classes(edges, chances, coverage)
    for i in range(len(chances)):
        share = law.below(edges[i + 1]) - (law.below(edges[i]) if i else 0.0)
        assert share == pytest.approx(chances[i] / total, abs=1e-7)
    assert law.coverage == coverage
    tail = (1 - coverage) / 2
    assert law.low == math.floor(law.quantile(tail))
    assert law.high == math.ceil(law.quantile(1 - tail))


def test_classes_of_no_probability_vanish():
    law = Forecast.classes((0, 10, 20, 30, 40), (0, 3, 1, 0))
    assert (law.levels, law.tokens) == ((0.0, 0.75, 1.0), (10.0, 20.0, 30.0))


@pytest.mark.parametrize(
    ("edges", "chances"),
    [
        ((0, 1), (0,)),
        ((0,), ()),
        ((0, 1), (0.5, 0.5)),
        ((0, 1, 2), (-0.1, 1.1)),
        ((0, 1, 2), (math.nan, 1)),
        ((0, 1, 2), (math.inf, 1)),
        ((0, math.nan, 2), (0.5, 0.5)),
        ((0, 5, 2), (0.5, 0.5)),
        ((0, 10, 5, 20), (0.5, 0, 0.5)),
        ((-1, 5), (1,)),
        ((0, math.inf), (1,)),
        (tuple(range(20)), (1,) * 19),
    ],
)
def test_classes_that_are_no_distribution_are_refused(edges, chances):
    with pytest.raises(ForecastError):
        Forecast.classes(edges, chances)


@pytest.mark.parametrize(
    ("levels", "tokens"),
    [
        ((0.0,), (1,)),
        ((0.0, 1.0), (1,)),
        ((0.0, 0.5), (1, 2)),
        ((0.1, 1.0), (1, 2)),
        ((0.0, 0.5, 0.5, 1.0), (1, 2, 3, 4)),
        ((0.0, 0.6, 0.5, 1.0), (1, 2, 3, 4)),
        ((0.0, math.nan, 1.0), (1, 2, 3)),
        ((math.nan, 1.0), (1, 2)),
        ((0.0, 1.0), (2, 1)),
        ((0.0, 1.0), (-1, 1)),
        ((0.0, 1.0), (math.nan, 1)),
        ((0.0, 0.5, 1.0), (0, math.nan, 1)),
        ((0.0, 1.0), (1, math.inf)),
        ((0.0, 1.0), (1, MAX_TOKENS + 1)),
        (tuple(i / 16 for i in range(17)), tuple(range(17))),
    ],
)
def test_what_is_no_quantile_function_is_refused(levels, tokens):
    with pytest.raises(ForecastError):
        Forecast(levels, tokens, 0, 1)


@pytest.mark.parametrize(
    "facts",
    [
        {"low": 3, "high": 2},
        {"low": -1, "high": 2},
        {"low": 0, "high": MAX_TOKENS + 1},
        {"low": math.nan, "high": 2},
        {"low": 0, "high": math.nan},
        {"low": 0, "high": 1, "coverage": 0.0},
        {"low": 0, "high": 1, "coverage": 1.1},
        {"low": 0, "high": 1, "coverage": math.nan},
    ],
)
def test_an_impossible_interval_or_coverage_is_refused(facts):
    with pytest.raises(ForecastError):
        Forecast((0.0, 1.0), (0, 1), **facts)


@pytest.mark.parametrize("level", [-0.1, 1.1, math.nan, math.inf])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(ForecastError, match="level"):
        Forecast.interval(1, 2).quantile(level)


@given(laws())
def test_a_forecast_is_a_value(law):
    same = Forecast(law.levels, law.tokens, law.low, law.high)
    assert same == law
    assert hash(same) == hash(law)
    assert all(a < b for a, b in pairwise(law.levels))

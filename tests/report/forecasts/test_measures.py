"""Each measure beside a slow reference, and beside SciPy and scikit-learn where they have it."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from soonest.core import Forecast, SoonestError
from soonest.report.compare import student
from soonest.report.forecasts import FORECAST_MEASURES, Training, assess, intervals, points, rank
from soonest.report.forecasts.columns import Columns

spec = importlib.util.spec_from_file_location("forecast_reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

TRAIN = list(range(1, 101))
SMALL = st.integers(0, 6)


def pair_of_columns(element, least=2, most=40):
    return st.lists(st.tuples(element, element), min_size=least, max_size=most).map(
        lambda rows: (np.array([r[0] for r in rows]), np.array([r[1] for r in rows]))
    )


@st.composite
def forecasts(draw):
    """A forecast of any kind."""
    if draw(st.integers(0, 9)) == 0:
        return Forecast.exact(draw(st.integers(0, 200)))
    inner = draw(st.lists(st.sampled_from([i / 40 for i in range(1, 40)]), max_size=8, unique=True).map(sorted))
    counts = draw(st.lists(st.integers(0, 200), min_size=len(inner) + 2, max_size=len(inner) + 2).map(sorted))
    low, high = sorted(draw(st.tuples(st.integers(0, 200), st.integers(0, 200))))
    coverage = draw(st.sampled_from([None, 0.5, 0.9]))
    return Forecast((0.0, *inner, 1.0), tuple(map(float, counts)), low, high, coverage)


@st.composite
def samples(draw):
    """Forecasts with the lengths that came, whether they were cut, and their conversations."""
    made = draw(st.lists(forecasts(), min_size=2, max_size=25))
    n = len(made)
    tokens = draw(st.lists(st.integers(1, 220), min_size=n, max_size=n))
    cut = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    groups = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    return made, np.array(tokens), np.array(cut), np.array(groups)


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), max_size=70))
def test_inversions_are_counted_as_pair_by_pair(values):
    assert rank.inversions(np.array(values, dtype=np.int64)) == reference.inversions(values)


@settings(deadline=None)
@given(pair_of_columns(SMALL))
def test_tau_and_pairs_are_those_of_all_pairs(columns):
    forecast, truth = columns
    assert rank.kendall_tau(forecast, truth) == pytest.approx(reference.kendall_tau(*columns), nan_ok=True)
    assert rank.pairwise_accuracy(forecast, truth) == pytest.approx(reference.pairwise_accuracy(*columns), nan_ok=True)


@settings(deadline=None)
@given(pair_of_columns(st.one_of(SMALL, st.integers(-(10**6), 10**6))))
def test_tau_and_rho_are_scipys(columns):
    stats = pytest.importorskip("scipy.stats")
    forecast, truth = columns
    assume(len(set(forecast.tolist())) > 1 < len(set(truth.tolist())))
    assert rank.kendall_tau(forecast, truth) == pytest.approx(stats.kendalltau(forecast, truth).statistic)
    assert rank.spearman(forecast, truth) == pytest.approx(stats.spearmanr(forecast, truth).statistic)


def test_tau_of_many_answers_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(1)
    truth = draw.geometric(0.01, 50_000)
    forecast = truth * draw.lognormal(0, 1, len(truth))
    forecast[::3] = np.rint(forecast[::3] / 50)
    assert rank.kendall_tau(forecast, truth) == pytest.approx(stats.kendalltau(forecast, truth).statistic, abs=1e-12)


def test_equal_forecasts_agree_with_nothing_and_order_half_the_pairs():
    same, truth = np.ones(5), np.arange(5)
    assert math.isnan(rank.kendall_tau(same, truth))
    assert math.isnan(rank.spearman(same, truth))
    assert rank.pairwise_accuracy(same, truth) == 0.5
    assert math.isnan(rank.pairwise_accuracy(truth, same))


@settings(deadline=None)
@given(pair_of_columns(st.integers(0, 4), least=1))
def test_accuracy_and_f1_are_scikit_learns(columns):
    metrics = pytest.importorskip("sklearn.metrics")
    forecast, truth = columns
    assert points.accuracy(forecast, truth) == pytest.approx(metrics.accuracy_score(truth, forecast))
    expected = metrics.f1_score(truth, forecast, average="macro", zero_division=0)
    assert points.macro_f1(forecast, truth) == pytest.approx(expected)


@settings(deadline=None)
@given(samples())
def test_columns_answer_as_each_forecast_does(sample):
    made, tokens, _, _ = sample
    columns = Columns.of(made)
    for level in (0, 0.05, 0.33, 0.5, 0.975, 1):
        assert columns.quantile(level) == pytest.approx([f.quantile(level) for f in made])
    for count in {0, 1, 7.5, 50, 199, 1e6, *tokens.tolist()}:
        assert columns.below(count) == pytest.approx([f.below(count) for f in made])


@settings(deadline=None)
@given(samples())
def test_everything_assessed_is_what_the_reference_says(sample):
    made, tokens, cut, groups = sample
    found = assess(made, tokens, cut, groups, TRAIN)
    training, measures = Training.of(TRAIN), found.measures
    expected, median = [f.expected for f in made], np.array([f.quantile(0.5) for f in made])
    hits = [bool(reference.covered(f, y, c)) for f, y, c in zip(made, tokens, cut, strict=True)]
    classes = [reference.likeliest(f, training.edges) for f in made]
    true = [reference.true_class(y, training.edges) for y in tokens]
    slow = {
        "kendall_tau": reference.kendall_tau(expected, tokens),
        "pairwise_accuracy": reference.pairwise_accuracy(expected, tokens),
        "mae": np.abs(median - tokens).mean(),
        "mae_constant": np.abs(50.5 - tokens).mean(),
        "rmse": np.sqrt(((median - tokens) ** 2).mean()),
        "rmse_constant": np.sqrt(((50.5 - tokens) ** 2).mean()),
        "accuracy": np.mean([a == b for a, b in zip(classes, true, strict=True)]),
        "coverage": np.mean(hits),
        "interval_score": reference.interval_score(made, tokens),
        "pinball": reference.pinball(made, tokens, intervals.LEVELS),
        "width_mean": np.mean([f.high - f.low for f in made]),
        "width_median": np.median([f.high - f.low for f in made]),
        "answers": len(made),
        "censored": cut.mean(),
        "unknown": 0,
    }
    assert {name: measures[name] for name in slow} == pytest.approx(slow, nan_ok=True)
    for level, share in found.calibration:
        assert share == pytest.approx(
            np.mean([y <= f.quantile(level) for f, y in zip(made, tokens, strict=True)]), abs=0.1
        )
    assert sum(part.size for part in found.deciles) == len(made)
    assert sum(part.size * part.coverage for part in found.deciles) == pytest.approx(sum(hits))
    assert measures["coverage_worst_decile"] == min(part.coverage for part in found.deciles)


@settings(deadline=None)
@given(samples())
def test_the_interval_of_a_coverage_is_the_cluster_robust_one(sample):
    made, tokens, cut, groups = sample
    hits = intervals.covered(Columns.of(made), tokens, cut)
    share = intervals.coverage(hits, groups)
    assert 0 <= share.low <= share.value <= share.high <= 1
    assume(0 < share.value < 1 < len(set(groups.tolist())))
    half = reference.clustered_half_width(hits.tolist(), groups.tolist(), student(len(set(groups.tolist())) - 1))
    assert share.low == pytest.approx(max(share.value - half, 0))
    assert share.high == pytest.approx(min(share.value + half, 1))


def test_repeating_each_answer_in_its_conversation_does_not_narrow_the_interval():
    hits = np.random.default_rng(2).random(300) < 0.9
    once = intervals.coverage(hits, np.arange(300))
    thrice = intervals.coverage(np.repeat(hits, 3), np.repeat(np.arange(300), 3))
    assert thrice == pytest.approx(once)
    naive = intervals.coverage(np.repeat(hits, 3), np.arange(900))
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


def test_the_interval_of_a_coverage_holds_the_truth_nineteen_times_of_twenty():
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(1000):
        sizes = draw.integers(1, 8, 150)
        groups = np.repeat(np.arange(150), sizes)
        chance = draw.beta(9, 1, 150)[groups]  # conversations differ; 90 % on the whole
        share = intervals.coverage(draw.random(len(groups)) < chance, groups)
        held += share.low <= 0.9 <= share.high
    assert 0.93 <= held / 1000 <= 0.97


@pytest.mark.parametrize("outcome", [True, False])
def test_answers_that_are_all_alike_leave_the_exact_interval(outcome):
    hits = np.full(60, outcome)
    share = intervals.coverage(hits, np.arange(60) // 2)
    width = 1 - 0.025 ** (1 / 30)
    assert (share.value, share.high - share.low) == (float(outcome), pytest.approx(width))


def test_a_cut_answer_is_covered_if_the_high_end_reaches_the_cut():
    columns = Columns.of([Forecast.interval(10, 20)] * 4)
    tokens = np.array([5, 5, 20, 21])
    hits = intervals.covered(columns, tokens, np.array([False, True, True, True]))
    assert hits.tolist() == [False, True, True, False]


def test_unknown_forecasts_are_counted_and_left_out_of_intervals():
    made = [Forecast.exact(30), Forecast.unknown(4096), Forecast.exact(90)]
    measures = assess(made, [30, 60, 90], [False] * 3, list("abc"), TRAIN).measures
    assert measures["unknown"] == pytest.approx(1 / 3)
    assert measures["coverage"] == 1
    assert measures["interval_score"] == measures["width_mean"] == 0
    assert measures["kendall_tau"] == 1  # the unknown one expects the training mean, between the others
    assert measures["mae"] == pytest.approx(9.5 / 3)
    assert measures["accuracy"] == pytest.approx(2 / 3)


def test_nothing_known_leaves_intervals_undefined_and_raises_nothing():
    found = assess([Forecast.unknown(9)] * 3, [1, 2, 3], [False] * 3, [1, 2, 3], TRAIN)
    for name in (
        "coverage",
        "coverage_low",
        "pinball",
        "interval_score",
        "width_mean",
        "calibration_error",
        "kendall_tau",
    ):
        assert math.isnan(found.measures[name])
    assert (found.deciles, found.calibration) == ((), ())
    assert found.measures["pairwise_accuracy"] == 0.5


def test_a_promise_of_everything_that_is_broken_costs_without_bound():
    broken = Columns.of([Forecast.exact(5)])
    assert intervals.interval_score(broken, np.array([6])) == math.inf
    assert intervals.interval_score(broken, np.array([5])) == 0


def test_a_calibrated_forecast_has_a_straight_curve_and_a_narrow_one_does_not():
    draw = np.random.default_rng(4)
    tokens = draw.integers(0, 1000, 20_000)
    good, narrow = Forecast.interval(0, 1000), Forecast.interval(400, 600)
    errors = [
        assess([f] * len(tokens), tokens, np.zeros(len(tokens), bool), np.arange(len(tokens)), tokens).measures
        for f in (good, narrow)
    ]
    assert errors[0]["calibration_error"] < 0.01
    assert errors[1]["calibration_error"] > 0.1
    assert errors[0]["pinball"] < errors[1]["pinball"]


def test_equal_forecasts_share_a_decile_and_different_ones_fill_ten():
    hits = np.ones(100, dtype=bool)
    alike = intervals.deciles(Columns.of([Forecast.exact(5)] * 100), hits)
    apart = intervals.deciles(Columns.of([Forecast.exact(i) for i in range(100)]), hits)
    assert [part.size for part in alike] == [100]
    assert [part.size for part in apart] == [10] * 10
    assert [part.expected for part in apart] == sorted(part.expected for part in apart)


def test_classes_end_at_the_training_percentiles_alone():
    training = Training.of([10, 20, 30, 40, 1000])
    assert training.edges == pytest.approx((20, 30, 40, 961.6))
    assert training.classes(np.array([1, 20, 21, 40, 900, 962])).tolist() == [0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "columns",
    [([], [], [], []), ([Forecast.exact(1)], [1, 2], [False], [0]), ([Forecast.exact(1)], [1], [False], [])],
)
def test_columns_that_do_not_fit_are_refused(columns):
    with pytest.raises(SoonestError, match="for each answer"):
        assess(*columns, TRAIN)


def test_every_number_of_an_assessment_is_in_the_catalogue_with_the_formula_of_its_function():
    measures = assess([Forecast.exact(1)], [1], [False], [0], TRAIN).measures
    timed = {name for name in FORECAST_MEASURES if name.startswith("us_")}
    assert set(measures) | timed == set(FORECAST_MEASURES)
    for measure in FORECAST_MEASURES.values():
        if measure.function is not None:
            text = " ".join(measure.function.__doc__.split())
            assert measure.formula in text.partition("Formula: ")[2]
            assert f"Unit: {measure.unit}" in text

import csv
import gzip
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Forecast, ForecastError
from soonest.sim.forecasts import (
    SOURCES,
    Beliefs,
    around,
    beliefs,
    bins,
    classes,
    confusion_matrix,
    interval,
    inverted,
    noise,
    none,
    oracle,
    percentile_edges,
    real_classes,
)

lengths = st.lists(st.integers(1, 5000), min_size=1, max_size=60).map(lambda x: np.array(x, dtype=np.int64))


def skewed(n, seed=0):
    return np.random.default_rng(seed).geometric(1 / 170, n)


def of(found, i):
    return found.table[found.index[i]]


@given(lengths)
def test_the_oracle_knows_every_length(tokens):
    found = oracle(tokens)
    assert [of(found, i) for i in range(len(found))] == [Forecast.exact(n) for n in tokens.tolist()]
    assert len(found.table) == len(set(tokens.tolist()))


@given(lengths, st.sampled_from(sorted(SOURCES)), st.integers(0, 9))
def test_every_source_answers_for_every_job_the_same_way_each_time(tokens, name, seed):
    tokens = tokens + 10  # ten bins need ten lengths
    found, again = beliefs(name, tokens, seed=seed), beliefs(name, tokens, seed=seed)
    assert len(found) == len(tokens)
    assert found.index.dtype == np.int32
    assert found.table == again.table
    assert (found.index == again.index).all()
    assert set(found.index.tolist()) == set(range(len(found.table)))


def test_noise_is_log_normal_about_the_truth():
    tokens = np.full(20_000, 100_000)
    found = noise(tokens, 0.5, seed=3)
    error = np.log([of(found, i).low / 100_000 for i in range(len(tokens))])
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.std() == pytest.approx(0.5, rel=0.02)


def test_noise_differs_by_seed_and_vanishes_at_zero():
    tokens = skewed(100)
    assert noise(tokens, 0.5, seed=1).table != noise(tokens, 0.5, seed=2).table
    assert noise(tokens, 0.0).table == oracle(tokens).table


def test_heavy_noise_stays_a_token_count():
    found = noise(skewed(2000), 10.0)
    assert min(forecast.low for forecast in found.table) == 1


def test_one_interval_serves_all():
    found = interval(skewed(50))
    assert found.table == (Forecast.interval(1, 1000),)


def test_ten_bins_of_a_thousand_tokens_begin_at_one_past_each_hundred():
    found = bins(np.array([1, 100, 101, 1000, 5000]), 10, 1000)
    ranges = [(of(found, i).low, of(found, i).high) for i in range(5)]
    assert ranges == [(1, 100), (1, 100), (101, 200), (901, 1000), (901, 1000)]


@given(lengths, st.integers(1, 30))
def test_a_bin_holds_its_length_and_bins_do_not_overlap(tokens, k):
    k = min(k, int(tokens.max()))
    found = bins(tokens, k)
    assert all(of(found, i).low <= n <= of(found, i).high for i, n in enumerate(tokens.tolist()))
    ordered = sorted((forecast.low, forecast.high) for forecast in found.table)
    assert all(a[1] < b[0] for a, b in pairwise(ordered))
    widths = [high - low + 1 for low, high in ordered]
    assert max(widths) - min(widths) <= 1


@pytest.mark.parametrize(
    ("o", "x", "low", "high"),
    [(100, 0.5, 50, 150), (70, 0.1, 63, 77), (100, 0.9, 10, 190), (1, 0.9, 1, 2), (7, 0.0, 7, 7), (9, 1.0, 1, 18)],
)
def test_an_interval_about_the_truth_is_rounded_outwards(o, x, low, high):
    (forecast,) = around(np.array([o]), x).table
    assert (forecast.low, forecast.high) == (low, high)


@given(lengths)
def test_inverted_forecasts_order_the_jobs_backwards(tokens):
    found = inverted(tokens)
    forecast = np.array([of(found, i).low for i in range(len(tokens))])
    assert (forecast + tokens == tokens.max() + tokens.min()).all()


def test_no_forecast_is_unknown_up_to_the_limit():
    assert none(np.array([3, 8])).table == (Forecast.unknown(8),)
    assert none(np.array([3, 8]), 2048).table == (Forecast.unknown(2048),)


def test_the_stated_confusion_is_right_in_six_of_ten_and_errs_mostly_by_one_class():
    matrix = confusion_matrix()
    assert matrix.sum(axis=1) == pytest.approx(np.ones(5))
    assert np.diag(matrix) == pytest.approx(np.full(5, 0.6))
    middle = matrix[2]
    assert middle[1] + middle[3] > 3 * (middle[0] + middle[4])


@pytest.mark.parametrize("accuracy", [0.3, 0.6, 0.95])
def test_a_drawn_classifier_has_the_accuracy_asked_for(accuracy):
    tokens = skewed(20_000)
    found = classes(tokens, accuracy, seed=1)
    true = np.searchsorted(percentile_edges(tokens)[1:-1], tokens)
    assert len(found.table) == 5
    assert (found.index == true).mean() == pytest.approx(accuracy, abs=0.02)


def test_a_class_forecast_is_the_share_of_true_classes_among_those_predicted_alike():
    tokens = np.array([5, 15, 15, 25, 25, 25])
    predicted = np.array([0, 0, 1, 1, 1, 1])
    found = classes(tokens, predicted=predicted, edges=np.array([0.0, 10.0, 20.0, 30.0]))
    assert found.table[0] == Forecast.classes([0, 10, 20, 30], [0.5, 0.5, 0])
    assert found.table[1] == Forecast.classes([0, 10, 20, 30], [0, 0.25, 0.75])
    assert found.index.tolist() == predicted.tolist()


def test_a_class_forecast_is_calibrated_on_its_own_jobs():
    tokens = skewed(50_000)
    found = classes(tokens, seed=4)
    for level in percentile_edges(tokens)[1:-1]:
        for j, forecast in enumerate(found.table):
            assert (tokens[found.index == j] <= level).mean() == pytest.approx(forecast.below(level), abs=1e-6)


def test_a_perfect_classifier_never_leaves_the_class():
    tokens = skewed(1000)
    found = classes(tokens, 1.0)
    edges = percentile_edges(tokens)
    assert [forecast.tokens[-1] for forecast in found.table] == edges[1:].tolist()


def test_real_errors_carry_over_by_percentile():
    file_tokens, file_predicted = skewed(20_000, seed=1), np.random.default_rng(2).integers(0, 5, 20_000)
    file_predicted[file_tokens <= np.percentile(file_tokens, 25)] = 2  # its shortest quarter always looks middling
    tokens = 10 * skewed(5000, seed=3)
    found = real_classes(tokens, file_tokens, file_predicted, seed=5)
    assert (found.index[tokens <= np.percentile(tokens, 25)] == 2).all()
    assert set(found.index[tokens > np.percentile(tokens, 25)].tolist()) == {0, 1, 2, 3, 4}


@pytest.fixture
def bert(shared_data):
    with gzip.open(shared_data("arrivals/ssjf_vicuna13b_bert_predictions.csv.gz"), "rt", encoding="utf-8") as file:
        rows = [(int(row["output_tokens"]), int(row["pred_class5"])) for row in csv.DictReader(file)]
    return np.array(rows, dtype=np.int64).T


@pytest.mark.data
def test_the_real_bert_is_right_in_six_of_ten(bert):
    tokens, predicted = bert
    found = beliefs("classes", tokens, predicted)
    assert (found.index == predicted).all()
    true = np.searchsorted(percentile_edges(tokens)[1:-1], tokens)
    assert (found.index == true).mean() == pytest.approx(0.600, abs=0.001)
    assert np.diff([forecast.expected for forecast in found.table]).min() > 0


@pytest.mark.data
def test_another_trace_gets_the_real_berts_accuracy(bert):
    tokens = skewed(50_000)
    found = real_classes(tokens, *bert, seed=1)
    true = np.searchsorted(percentile_edges(tokens)[1:-1], tokens)
    assert (found.index == true).mean() == pytest.approx(0.600, abs=0.01)


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("oracle", oracle),
        (" noise( 0.7 ) ", lambda x: noise(x, 0.7, seed=5)),
        ("interval(3,9)", lambda x: interval(x, 3, 9)),
        ("bins(4)", lambda x: bins(x, 4)),
        ("bins(4,2000)", lambda x: bins(x, 4, 2000)),
        ("around(0.1)", lambda x: around(x, 0.1)),
        ("classes", lambda x: classes(x, seed=5)),
        ("classes(0.9)", lambda x: classes(x, 0.9, seed=5)),
        ("none()", none),
        ("none(77)", lambda x: none(x, 77)),
    ],
)
def test_a_spec_calls_its_function(spec, same):
    tokens = skewed(200)
    found, expected = beliefs(spec, tokens, seed=5), same(tokens)
    assert found.table == expected.table
    assert (found.index == expected.index).all()


def test_a_spec_uses_the_predicted_classes_of_the_trace_unless_told_an_accuracy():
    tokens, predicted = skewed(200), np.zeros(200, dtype=np.int64)
    assert len(beliefs("classes", tokens, predicted).table) == 1
    assert len(beliefs("classes(0.5)", tokens, predicted).table) == 5
    assert len(beliefs("classes", tokens, predicted - 1).table) == 5


@pytest.mark.parametrize("spec", ["psychic", "", "noise(0.5", "oracle)", "oracle-2"])
def test_an_unknown_spec_lists_the_known_ones(spec):
    with pytest.raises(ForecastError, match="known: oracle, noise, interval, bins, around, classes, inverted, none"):
        beliefs(spec, np.array([1, 2]))


@pytest.mark.parametrize(
    "spec",
    [
        *("noise(x)", "noise(-1)", "noise(nan)", "noise(99)", "oracle(1)", "interval(9,3)", "interval(1.5,3)"),
        *("bins(0)", "bins(10,5)", "around(2)", "classes(1.5)", "none(-1)", "noise(1,2)"),
    ],
)
def test_a_bad_argument_is_refused(spec):
    with pytest.raises(ForecastError):
        beliefs(spec, np.array([40, 50]))


@pytest.mark.parametrize("tokens", [[], [0], [-1], [1.5], [[1]], [1 << 41]])
def test_lengths_that_are_no_lengths_are_refused(tokens):
    with pytest.raises(ForecastError, match="lengths"):
        oracle(np.array(tokens))


@pytest.mark.parametrize(
    "arguments",
    [
        {"predicted": np.array([0, 5])},
        {"predicted": np.array([0])},
        {"predicted": np.array([-1, 0])},
        {"confusion": np.eye(4)},
        {"confusion": np.full((5, 5), 0.3)},
        {"confusion": np.full((5, 5), np.nan)},
        {"edges": np.array([0.0, 9.0, 5.0])},
        {"edges": np.array([0.0, 9.0])},
        {"accuracy": 0.5, "predicted": np.array([0, 0])},
    ],
)
def test_classes_that_contradict_each_other_are_refused(arguments):
    with pytest.raises(ForecastError):
        classes(np.array([3, 4]), **arguments)


def test_a_file_without_a_class_cannot_teach_its_errors():
    with pytest.raises(ForecastError, match="no length in class"):
        real_classes(skewed(10), np.array([7, 7, 7]), np.array([0, 0, 0]))


def test_an_index_outside_the_table_is_refused():
    with pytest.raises(ForecastError, match="outside"):
        Beliefs((Forecast.exact(1),), np.array([0, 1], dtype=np.int32))

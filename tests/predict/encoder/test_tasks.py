"""Lengths become targets, and outputs become forecasts, for every task."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soonest.core import PredictorError
from soonest.predict.encoder import TASKS
from soonest.predict.encoder.tasks.scale import Scale, rising
from soonest.predict.quantiles import LEVELS

CLASSES = ["binary", "multiclass"]
SCORES = [name for name in TASKS if name not in {*CLASSES, "quantile"}]
FAR = 1 << 20

seeds = st.integers(0, 2**32 - 1)


def lengths(seed, n=300):
    draw = np.random.default_rng(seed)
    return np.floor(np.exp(draw.normal(4.5, 1, n)))


def ready(name, tokens, **options):
    """A task that has learned its units from these lengths and was calibrated on a score that says a little."""
    task = TASKS[name](**options)
    task.learn(tokens)
    noise = np.random.default_rng(1).normal(0, 1, len(tokens))
    task.calibrate(np.tile((np.log1p(tokens) + noise)[:, None], task.width), tokens)
    return task


@pytest.mark.parametrize("name", CLASSES)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_class_edges_are_the_percentiles_and_a_class_ends_with_its_cut(name, seed):
    tokens = lengths(seed)
    task = ready(name, tokens)
    percents = {"binary": [50], "multiclass": [25, 50, 75, 99]}[name]
    assert task.cuts == pytest.approx([np.percentile(tokens, p) for p in percents])
    assert task.targets(tokens).tolist() == [sum(t > cut for cut in task.cuts) for t in tokens]


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_weighs_one_over_the_count_of_its_class(name):
    tokens = lengths(0)
    task = ready(name, tokens)
    classes = task.targets(tokens).astype(int)
    by_hand = [1 / (classes == i).sum() for i in range(task.width)]
    assert task.weights / task.weights[0] == pytest.approx(np.array(by_hand) / by_hand[0])
    assert task.weights[classes].mean() == pytest.approx(1)


@pytest.mark.parametrize("name", CLASSES)
def test_outputs_that_say_nothing_give_the_shares_of_the_training_split(name):
    tokens = lengths(0, 3000)
    task = ready(name, tokens)
    (found,) = task.forecasts(np.zeros((1, task.width)), [FAR])
    for level in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert found.quantile(level) == pytest.approx(np.quantile(tokens, level), rel=0.1)
    assert found.coverage is None


@pytest.mark.parametrize("name", CLASSES)
@given(seed=seeds, outputs=st.lists(st.floats(-6, 6), min_size=5, max_size=5))
@settings(max_examples=50, deadline=None)
def test_a_forecast_keeps_the_probability_of_every_class(name, seed, outputs):
    task = ready(name, lengths(seed))
    row = np.array([outputs[: task.width]])
    (found,) = task.forecasts(row, [FAR])
    assert [found.below(cut) for cut in task.cuts] == pytest.approx(task.shares(row)[0].cumsum()[:-1], abs=1e-6)


@pytest.mark.parametrize("name", SCORES)
@given(seed=seeds, scores=st.lists(st.floats(-20, 20), min_size=2, max_size=20, unique=True))
@settings(max_examples=25, deadline=None)
def test_a_higher_score_is_a_longer_forecast(name, seed, scores):
    task = ready(name, lengths(seed))
    ordered = np.unique(np.round(scores, 3))
    expected = [f.expected for f in task.forecasts(ordered[:, None], [FAR] * len(ordered))]
    assert all(a < b for a, b in itertools.pairwise(expected))


@pytest.mark.parametrize("name", SCORES)
def test_a_scored_forecast_covers_what_it_says_on_new_answers(name):
    task = ready(name, lengths(0, 4000))
    fresh = lengths(1, 4000)
    scores = np.log1p(fresh) + np.random.default_rng(2).normal(0, 1, len(fresh))
    found = task.forecasts(scores[:, None], [FAR] * len(fresh))
    inside = np.mean([f.low <= t <= f.high for f, t in zip(found, fresh, strict=True)])
    assert 0.87 <= inside <= 0.93


def test_a_score_that_says_nothing_gives_the_law_of_all_lengths():
    tokens = lengths(0, 2000)
    scale = Scale.fitted(np.zeros(len(tokens)), tokens)
    assert scale.read(np.zeros(1))[0] == pytest.approx(np.maximum(np.quantile(tokens, LEVELS), 1))


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_rising_rows_rise_and_rows_that_rise_are_left_alone(seed):
    rows = np.random.default_rng(seed).normal(0, 1, (20, 3))
    assert (np.diff(rising(rows), axis=0) >= 0).all()
    assert rising(np.sort(rows, axis=0)) == pytest.approx(np.sort(rows, axis=0))


@pytest.mark.parametrize("target", ["log", "tokens"])
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_targets_lead_back_to_tokens(target, seed):
    tokens = lengths(seed)
    task = ready("quantile", tokens, target=target)
    assert task.tokens(task.targets(tokens)) == pytest.approx(tokens, abs=1e-6)
    assert task.targets(tokens).mean() == pytest.approx(0, abs=1e-6)
    assert task.targets(tokens).std() == pytest.approx(1)


@pytest.mark.parametrize("name", TASKS)
@given(seed=seeds, limit=st.integers(0, 400))
@settings(max_examples=20, deadline=None)
def test_no_forecast_goes_beyond_its_limit(name, seed, limit):
    task = ready(name, lengths(seed))
    outputs = np.sort(np.random.default_rng(seed).normal(0, 5, (4, task.width)), axis=1)
    for found in task.forecasts(outputs, [limit] * 4):
        assert max(found.tokens[-1], found.high) <= max(1, limit)
        assert found.known


@pytest.mark.parametrize("name", TASKS)
def test_all_answers_of_one_length_are_learned_without_a_fuss(name):
    task = ready(name, np.full(40, 7.0))
    for found in task.forecasts(np.zeros((2, task.width)), [FAR, FAR]):
        assert found.expected == pytest.approx(7, rel=0.05)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_comes_back_from_its_arrays(name):
    task = ready(name, lengths(0))
    again = TASKS[name]()
    again.restore(task.state())
    outputs = np.sort(np.random.default_rng(0).normal(0, 1, (5, task.width)), axis=1)
    assert again.forecasts(outputs, [FAR] * 5) == task.forecasts(outputs, [FAR] * 5)
    assert {key: (a.dtype.kind, a.ndim) for key, a in task.state().items()} == dict(task.saved)


@pytest.mark.parametrize("name", TASKS)
def test_arrays_of_another_task_are_refused(name):
    arrays = ready(name, lengths(0)).state()
    broken = {key: -np.ones((value.shape[0] + 1, *value.shape[1:])) for key, value in arrays.items()}
    with pytest.raises(ValueError, match="'"):
        TASKS[name]().restore(broken)


def test_a_loss_that_a_task_lacks_is_an_error_with_those_it_has():
    with pytest.raises(PredictorError, match="it has: logistic, margin"):
        TASKS["pairwise"]("pinball")
    with pytest.raises(PredictorError, match="target must be 'log' or 'tokens'"):
        TASKS["quantile"](target="words")

"""Several predictors as one."""

import numpy as np
import pytest
from tests.predict.stated import Silent, Stated, answers

from soonest.core import PredictorError
from soonest.predict import Ensemble
from soonest.predict.quantiles import loss


def test_the_better_member_gains_weight_and_the_whole_is_about_as_good():
    good, bad = Stated(sigma=0.5), Stated(sigma=0.5, factor=3)
    both = Ensemble(good, bad).fit(*answers(1000, 1))
    assert both.weights[0] > 0.95
    prompts, tokens = answers(500, 2)
    losses = [np.mean([loss(f, t) for f, t in zip(m.predict(prompts), tokens, strict=True)]) for m in (both, good)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_weights_follow_the_stream():
    both = Ensemble(Stated(sigma=0.5), Stated(sigma=0.5, factor=3), memory=100).fit(*answers(500, 1))
    prompts, tokens = answers(600, 2)
    for prompt, count in zip(prompts, tokens, strict=True):
        both.predict([prompt])
        both.update(prompt, 3 * count)
    assert both.weights[1] > 0.95
    assert both.weights.sum() == pytest.approx(1)


def test_a_member_that_does_not_know_has_no_say():
    alone = Stated(sigma=0.5)
    both = Ensemble(alone, Silent())
    prompts, _ = answers(20, 1)
    assert both.predict(prompts) == alone.predict(prompts)
    assert not Ensemble(Silent()).predict(prompts)[0].known


def test_an_ensemble_of_nothing_is_refused():
    for members in ((), ("text",)):
        with pytest.raises(PredictorError, match="members"):
            Ensemble(*members)


def test_cut_answers_weigh_no_member():
    prompts, tokens = answers(400, 1)
    cut = [count > 30 for count in tokens]
    both = Ensemble(Stated(sigma=0.5), Stated(sigma=0.5, factor=0.1))
    both.fit(prompts, [min(count, 30) for count in tokens], cut)
    assert both.weights[0] > 0.9

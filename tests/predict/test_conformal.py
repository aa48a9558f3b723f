"""Calibrated intervals: the promise is kept, also while short answers end first."""

import heapq

import numpy as np
import pytest
from tests.predict.stated import Silent, Stated, answers

from soonest.core import PredictorError, Prompt
from soonest.predict import Conformal, History


def covered(forecasts, tokens):
    return np.array([f.low <= t <= f.high for f, t in zip(forecasts, tokens, strict=True)])


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("factor", [0.3, 1.0, 2.0])
def test_the_promise_is_kept_whatever_the_base_says(coverage, factor):
    base = Stated(sigma=0.05, factor=factor)
    fitted = Conformal(base, coverage=coverage).fit(*answers(6000, 1, wide=0.5))
    prompts, tokens = answers(4000, 2, wide=0.5)
    forecasts = fitted.predict(prompts)
    assert {f.coverage for f in forecasts} == {coverage}
    inside = covered(forecasts, tokens)
    assert inside.mean() == pytest.approx(coverage, abs=0.03)
    order = np.argsort([f.expected for f in forecasts])
    for part in np.array_split(order, 5):
        assert coverage - 0.07 < inside[part].mean() < coverage + 0.15  # whole tokens cover more than asked


def test_every_level_is_calibrated():
    fitted = Conformal(Stated(sigma=0.05, factor=3.0)).fit(*answers(6000, 1))
    prompts, tokens = answers(4000, 2)
    forecasts = fitted.predict(prompts)
    for i, level in list(enumerate(forecasts[0].levels))[1:-1]:
        below = np.mean([t <= f.tokens[i] for f, t in zip(forecasts, tokens, strict=True)])
        assert below == pytest.approx(level, abs=0.03)


def test_with_too_few_answers_nothing_is_promised():
    fitted = Conformal(Stated(), share=0.2).fit(*answers(30, 1))
    assert fitted.predict(answers(3, 2)[0])[0].coverage is None


def test_answers_recalibrate_it():
    fitted = Conformal(Stated()).fit(*answers(3000, 1, sigma=0.1))
    prompts, tokens = answers(6000, 2, sigma=0.8)
    inside = []
    for prompt, count in zip(prompts, tokens, strict=True):
        inside.append(covered(fitted.predict([prompt]), [count])[0])
        fitted.update(prompt, count)
    assert np.mean(inside[:200]) < 0.7
    assert np.mean(inside[3000:]) == pytest.approx(0.9, abs=0.02)


def test_a_model_with_enough_answers_is_calibrated_alone():
    parts = [
        answers(1500, seed, sigma=sigma, model=model) for seed, sigma, model in ((1, 0.1, "calm"), (2, 1.2, "wild"))
    ]
    order = np.random.default_rng(0).permutation(3000).tolist()
    prompts, tokens = ([column for part in parts for column in part[i]] for i in (0, 1))
    fitted = Conformal(Stated(), enough=100, strata=1).fit([prompts[i] for i in order], [tokens[i] for i in order])
    for seed, sigma, model in ((3, 0.1, "calm"), (4, 1.2, "wild")):
        asked, truth = answers(1500, seed, sigma=sigma, model=model)
        assert covered(fitted.predict(asked), truth).mean() == pytest.approx(0.9, abs=0.04)


def shortest_first(conformal, prompts, tokens, rate):
    """One server a slot, eight slots, the shortest forecast first: the coverage of all arrivals."""
    waiting, running, inside = [], [], {}
    arrivals = np.cumsum(np.random.default_rng(5).exponential(1 / rate, len(prompts)))
    now, i = 0.0, 0
    while len(inside) < len(prompts) or running:
        ends = running[0][0] if running else np.inf
        if i < len(prompts) and arrivals[i] <= ends:
            now = arrivals[i]
            if i % 50 == 0:
                conformal.running({prompts[j].id: int(now - start) for _, j, start in running})
            made = conformal.predict([prompts[i]])[0]
            inside[i] = made.low <= tokens[i] <= made.high
            heapq.heappush(waiting, (made.expected, i))
            i += 1
        else:
            now, j, _ = heapq.heappop(running)
            conformal.update(prompts[j], tokens[j])
        while waiting and len(running) < 8:
            _, j = heapq.heappop(waiting)
            heapq.heappush(running, (now + tokens[j], j, now))
    order = np.argsort([float(prompt.text) for prompt in prompts])
    return np.mean([inside[j] for j in order]), np.mean([inside[j] for j in order[-len(order) // 3 :]])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_coverage_of_all_arrivals_holds_while_the_short_end_first(seed):
    """The longer the answer, the surer of itself the base is: pooled over lengths, the ended ones look easy."""
    prompts, tokens = answers(4000, seed + 10, sigma=0.15, wide=1.0)
    rate = 1.3 * 8 / np.mean(tokens)
    learned = answers(600, seed, sigma=0.15, wide=1.0)
    every, long = shortest_first(Conformal(Stated(), window=150).fit(*learned), prompts, tokens, rate)
    _, long_pooled = shortest_first(Conformal(Stated(), window=150, strata=1).fit(*learned), prompts, tokens, rate)
    assert 0.87 < every < 0.93
    assert long > 0.85
    assert long_pooled < 0.8


def test_what_the_base_does_not_know_stays_unknown():
    fitted = Conformal(Silent()).fit(*answers(100, 1))
    assert not fitted.predict([Prompt.of("5")])[0].known


@pytest.mark.parametrize("wrong", [{"coverage": 1.0}, {"coverage": 0}, {"strata": 0}, {"window": 3}, {"share": 1}])
def test_senseless_arguments_are_refused(wrong):
    with pytest.raises(PredictorError, match="conformal needs"):
        Conformal(Stated(), **wrong)
    with pytest.raises(PredictorError, match="wraps a predictor"):
        Conformal("text")


def test_a_group_without_answers_of_some_length_takes_the_correction_of_all():
    fitted = Conformal(Stated(), enough=50).fit(*answers(3000, 1, sigma=0.8))
    short = [(p, t) for p, t in zip(*answers(4000, 2, sigma=0.1, tenant="new"), strict=True) if float(p.text) < 15]
    for prompt, count in short:
        fitted.update(prompt, count)
    asked, truth = answers(2000, 3, sigma=0.8, tenant="new")
    long = [i for i, prompt in enumerate(asked) if float(prompt.text) > 300]
    inside = covered(fitted.predict([asked[i] for i in long]), [truth[i] for i in long])
    assert inside.mean() == pytest.approx(0.9, abs=0.05)


def test_the_running_count_for_their_own_and_only_while_they_run():
    fitted = Conformal(Stated(), enough=50).fit(*answers(2000, 1))
    for tenant in "ab":
        for prompt, count in zip(*answers(600, 2, tenant=tenant), strict=True):
            fitted.update(prompt, count)
    asked = Prompt.of("100", tenant="a")
    before = fitted.predict([asked])[0]
    others = [Prompt.of("100", id=f"run-{i}", tenant="b") for i in range(300)]
    fitted.predict(others)
    fitted.running({prompt.id: 2000 for prompt in others})
    assert fitted.predict([asked])[0] == before
    assert fitted.predict(others[:1])[0].high > 2 * before.high
    fitted.running({})
    assert fitted.predict(others[:1])[0].high < 2 * before.high


def test_groups_are_saved(tmp_path):
    parts = [answers(800, seed, sigma=sigma, model=m) for seed, sigma, m in ((1, 0.1, "calm"), (2, 1.2, "wild"))]
    prompts, tokens = ([column for part in parts for column in part[i]] for i in (0, 1))
    fitted = Conformal(Known()).fit(prompts, tokens)
    fitted.save_pretrained(tmp_path / "made")
    loaded = Conformal.from_pretrained(tmp_path / "made")
    asked = [p for part in (answers(50, 5, model="calm"), answers(50, 6, model="wild")) for p in part[0]]
    assert loaded.predict(asked) == fitted.predict(asked)


class Known(History):
    """Something that can be saved."""


def test_more_coverage_needs_more_answers():
    asked = answers(20, 2)[0]
    few = Conformal(Stated(), coverage=0.99).fit(*answers(500, 1))
    assert {f.coverage for f in few.predict(asked)} == {None}
    fitted = Conformal(Stated(sigma=0.05), coverage=0.99).fit(*answers(8000, 1))
    prompts, tokens = answers(4000, 3)
    assert covered(fitted.predict(prompts), tokens).mean() == pytest.approx(0.99, abs=0.006)


def test_without_a_fit_strata_are_drawn_from_the_first_forecasts():
    cold = Conformal(Stated())
    for prompt, count in zip(*answers(400, 1), strict=True):
        cold.update(prompt, count)
    assert len(cold.edges_) == 4
    prompts, tokens = answers(2000, 2)
    assert covered(cold.predict(prompts), tokens).mean() == pytest.approx(0.9, abs=0.05)

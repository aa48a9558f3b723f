"""A predictor in a simulation."""

import numpy as np
import pytest
from tests.predict.stated import Silent, Stated, answers

from soonest.core import Rules
from soonest.predict import Online, predictor
from soonest.sim import PRESETS, Options, Workload, beliefs, simulate
from soonest.studies.live import Live, measured_latency

OPTIONS = Options(Rules.vllm(8, 512, 2000, 16), PRESETS["h100-8b"])


def workload(tokens, seed=0, gap=0.05):
    arrival = np.cumsum(np.random.default_rng(seed).exponential(gap, len(tokens)))
    output = np.array(tokens)
    return Workload(arrival, np.full(len(tokens), 30), output, beliefs("oracle", output))


def mean_jct(result):
    return float(np.mean(result.finished - result.workload.arrival_ps))


def test_a_good_predictor_gains_and_a_blind_one_serves_in_arrival_order():
    prompts, tokens = answers(600, 1, sigma=0.2)
    work = workload(tokens)
    first = simulate(work, "fcfs", OPTIONS)
    assert first.most_waiting > 20
    blind = simulate(work, "shortest", OPTIONS, forecaster=Live(Silent(), prompts, 0.0))
    assert np.array_equal(blind.finished, first.finished)
    good = simulate(work, "shortest", OPTIONS, forecaster=Live(Stated(), prompts, 0.0))
    best = simulate(work, "shortest", OPTIONS)
    assert mean_jct(best) < mean_jct(good) < 0.8 * mean_jct(first)


def test_what_was_said_of_each_job_is_kept_for_scoring():
    prompts, tokens = answers(100, 2)
    live = Live(Stated(), prompts, 0.0)
    simulate(workload(tokens), "shortest", OPTIONS, forecaster=live)
    assert [f.expected for f in live.forecasts] == [f.expected for f in Stated().predict(prompts)]


def test_an_online_predictor_hears_of_answers_only_when_they_end():
    prompts, tokens = answers(400, 3, sigma=0.2)
    online = Online(Stated(), refit="never")
    live = Live(online, prompts, 0.0)
    result = simulate(workload(tokens), "shortest", OPTIONS, forecaster=live)
    known = np.array([f.known for f in live.forecasts])
    first = int(np.argmax(known))
    ended = int((result.finished <= result.workload.arrival_ps[first]).sum())
    assert known[-1]
    assert not known[:10].any()
    assert ended >= 6


def test_latency_is_measured_and_charged():
    prompts, tokens = answers(300, 4)
    text = predictor("history").fit(prompts, tokens)
    latency = measured_latency(text, prompts)
    assert 1e-6 < latency < 0.1
    late = simulate(workload(tokens), "fcfs", OPTIONS, forecaster=Live(text, prompts, 1.0))
    soon = simulate(workload(tokens), "fcfs", OPTIONS)
    assert mean_jct(late) - mean_jct(soon) == pytest.approx(1e12, rel=0.05)

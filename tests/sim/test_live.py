"""Forecasts made while a simulation runs: asked on arrival, taught at the end, and late by their latency."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Rules, SimulationError
from soonest.sim import PRESETS, Options, Workload, simulate
from soonest.sim.forecasts import noise

RULES = Rules.vllm(8, 512, 200, 16)


class Told:
    """Gives a workload's own forecasts, and writes down what it hears."""

    def __init__(self, workload, latency=0.0):
        self.beliefs, self.latency = workload.beliefs, latency
        self.heard = []

    def asked(self, job):
        self.heard.append(("asked", job, 0))
        return self.beliefs.table[self.beliefs.index[job]]

    def ended(self, job, tokens, censored):
        self.heard.append(("cut" if censored else "ended", job, tokens))

    def running(self, generated):
        self.heard += [("running", job, tokens) for job, tokens in generated.items()]


def workload(seed, n=150):
    chance = np.random.default_rng(seed)
    output = chance.integers(1, 400, n)
    arrival = np.cumsum(chance.exponential(0.05, n))
    return Workload(arrival, chance.integers(0, 300, n), output, noise(output, seed=seed))


@given(st.integers(0, 1000), st.sampled_from(["shortest", "a_max", "response_ratio(shortest)"]))
def test_a_forecaster_that_says_what_the_workload_says_changes_nothing(seed, policy):
    work = workload(seed)
    options = Options(RULES, PRESETS["h100-8b"])
    told = simulate(work, policy, options, forecaster=Told(work))
    plain = simulate(work, policy, options, backend="python")
    for column in ("admitted", "first_token", "finished", "evictions"):
        assert np.array_equal(getattr(told, column), getattr(plain, column))


def test_every_job_is_asked_about_once_and_ends_once_after_that():
    work = workload(1, 400)
    told = Told(work)
    simulate(work, "shortest", Options(RULES, PRESETS["h100-8b"]), forecaster=told)
    asked = [job for kind, job, _ in told.heard if kind == "asked"]
    ended = {job: tokens for kind, job, tokens in told.heard if kind == "ended"}
    assert asked == list(range(400))
    assert [ended[job] for job in range(400)] == work.output_tokens.tolist()
    for kind in ("ended", "running"):
        assert all(told.heard.index(("asked", job, 0)) < i for i, (k, job, _) in enumerate(told.heard) if k == kind)
    run = [(job, tokens) for kind, job, tokens in told.heard if kind == "running"]
    assert run
    assert all(0 <= tokens < work.output_tokens[job] for job, tokens in run)


def test_a_job_given_up_ends_cut():
    work = workload(2)
    told = Told(work)
    rules = replace(Rules.vllm(8, 512, 50, 16), clear=1.0, max_evictions=1)
    options = Options(rules, PRESETS["h100-8b"])
    result = simulate(work, "fcfs", options, forecaster=told)
    cut = sorted(job for kind, job, _ in told.heard if kind == "cut")
    assert cut
    assert cut == np.flatnonzero(result.finished < 0).tolist()


def test_latency_delays_every_job_and_counts_as_waiting():
    work = workload(3)
    options = Options(RULES, PRESETS["h100-8b"])
    late = simulate(work, "fcfs", options, forecaster=Told(work, latency=2.0))
    moved = simulate(work.at(work.arrival + 2.0), "fcfs", options, backend="python")
    assert np.array_equal(late.finished, moved.finished)
    assert np.array_equal(late.records.arrival, work.arrival_ps / 1e12)


def test_the_kernel_refuses_a_forecaster():
    work = workload(4)
    with pytest.raises(SimulationError, match="made as it runs"):
        simulate(work, "fcfs", backend="kernel", forecaster=Told(work))

"""MC-SF's alpha-protection baselines: fcfs under a watermark that clears the batch on overflow (arXiv:2502.07115)."""

from dataclasses import replace

import numpy as np
import pytest
from tests.backends import BACKENDS, usable

from soonest.core import OUTCOMES, Outcome, PolicyError, Rules
from soonest.data import poisson
from soonest.policies import policy
from soonest.sim import NEVER, Options, Workload, simulate
from soonest.sim.forecasts import oracle


def at_once(lengths, prompts=None):
    lengths = np.array(lengths)
    prompts = np.zeros(len(lengths), dtype=int) if prompts is None else np.array(prompts)
    return Workload(np.zeros(len(lengths)), prompts, lengths, oracle(lengths))


def run(work, rules, seed=0, name="fcfs"):
    return simulate(work, name, Options(rules, seed=seed), backend="python")


def test_clearing_everyone_livelocks_and_is_bounded():
    rules = replace(Rules.paper(4), clear=1.0, max_evictions=20)
    result = run(at_once([4, 4]), rules)  # both start, both need 3 tokens at the third step: 6 > 4, for ever
    assert (result.finished == NEVER).all()
    assert (result.evictions == 21).all()
    assert {OUTCOMES[o] for o in result.records.outcome} == {Outcome.ABORTED}


def test_clearing_each_with_a_probability_ends_and_repeats_under_a_seed():
    rules = replace(Rules.paper(4), clear=0.5)
    first, again, other = (run(at_once([4, 4, 3, 4]), rules, seed) for seed in (1, 1, 2))
    assert (first.finished != NEVER).all()
    assert (first.finished == again.finished).all()
    assert (first.finished != other.finished).any()
    assert first.peak_memory <= 4


def test_the_watermark_keeps_memory_free_on_admission():
    work = at_once([2, 2, 2, 2], prompts=[3, 3, 3, 3])
    assert run(work, Rules.paper(20)).records.admitted.tolist() == [0, 0, 0, 0]
    guarded = run(work, replace(Rules.paper(20), watermark=0.3))  # 14 tokens: three of 4 fit
    assert guarded.records.admitted.tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_seven_per_cent_of_a_hundred_blocks_are_seven(backend):
    work, options = at_once([1, 1, 1], prompts=[30, 30, 30]), Options(replace(Rules.paper(100), watermark=0.07))
    assert usable(backend, (work, policy("fcfs"), options))
    together = simulate(work, "fcfs", options, backend=backend)  # 3 x 31 are the other 93
    assert together.records.admitted.tolist() == [0, 0, 0]


def test_an_idle_engine_admits_past_the_watermark():
    result = run(at_once([2], prompts=[8]), replace(Rules.paper(10), watermark=0.9))
    assert result.finished[0] != NEVER


def test_a_policy_that_evicts_by_keep_refuses_to_be_cleared():
    with pytest.raises(PolicyError, match="needs evict"):
        run(at_once([2]), replace(Rules.paper(10), clear=1.0), name="a_min")


def test_mc_sf_beats_memory_aware_fcfs_in_its_own_setting():
    n, generator = 3000, np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(np.log(45), np.sqrt(2 * np.log(85.3 / 45)), n).round(), 1, 1000).astype(int)
    prompts = np.clip(generator.lognormal(np.log(11), np.sqrt(2 * np.log(40.6 / 11)), n).round(), 1, 1000).astype(int)
    work = Workload(poisson(n, 50.0, 1), prompts, lengths, oracle(lengths))
    options = Options(Rules.paper(16_492))
    mc_sf, fcfs = (simulate(work, p, options, backend="python").total_latency for p in ("a_min", "fcfs_reserve"))
    assert mc_sf < fcfs

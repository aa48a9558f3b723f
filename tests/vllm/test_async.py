"""Asynchronous scheduling: a step is planned before the last one's tokens are known, with placeholders for them."""

from dataclasses import replace

import numpy as np
import pytest
from tests.vllm.alone import Drive, request, scheduler
from tests.vllm.workloads import POLICIES, case, driven

from soonest.engines.vllm import Scheduler
from soonest.sim import Workload
from soonest.sim.forecasts import Beliefs


@pytest.mark.parametrize("policy", POLICIES)
def test_every_answer_ends_and_memory_is_never_exceeded(facts, policy):
    preempted = 0
    for seed in range(8):
        load = case(seed, 16, 64)
        ours = scheduler(
            Scheduler, facts, slots=load.slots, blocks=load.blocks, asynchronous=True, options={"policy": policy}
        )
        steps = driven(load, ours, late=1)
        assert {i for step in steps for i in step.joined} == {str(i) for i in range(len(load.jobs))}
        assert not ours.calls
        assert not len(ours.queue)
        assert not len(ours.lookahead.load)
        assert ours.kv_cache_manager.block_pool.get_num_free_blocks() == load.blocks
        assert ours.board["policy_errors"] == 0
        preempted += any(step.preempted for step in steps)
    assert preempted or policy in {"a_max", "fcfs_reserve", "response_ratio(a_max)"}


def test_placeholders_count_as_generated(facts):
    ours = scheduler(Scheduler, facts, slots=2, budget=64, blocks=9, asynchronous=True, options={"policy": "a_max"})
    ours.add_request(request("first", 15, forecast=(49, 49, 49)))  # four blocks at its end
    ours.add_request(request("second", 80, forecast=(1, 1, 1)))  # five, six with the step that async adds
    drive = Drive(ours, {"first": 49, "second": 1}, late=1)
    steps = drive.run()
    assert all(not step.preempted for step in steps)
    assert ours.requests == {}


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("prefix_caching", [False, True])
def test_a_max_preempts_nobody_while_answers_stay_within_their_intervals(facts, late, prefix_caching):
    closed = 0
    for seed in range(40):
        load = case(seed, 16, 64 if seed % 2 else 2048)
        ours = scheduler(
            Scheduler,
            facts,
            slots=load.slots,
            budget=64 if seed % 2 else 2048,
            blocks=load.blocks + 1,
            asynchronous=bool(late),
            prefix_caching=prefix_caching,
            options={"policy": "a_max"},
        )
        right = {
            i: load.jobs.beliefs.table[i].known and n <= load.jobs.beliefs.table[i].high
            for i, n in enumerate(load.jobs.output_tokens)
        }
        kept = [i for i, fits in right.items() if fits]
        steps = driven(only(load, kept), ours, late)
        assert not any(step.preempted for step in steps), seed
        closed += ours.board["doors_closed"] > 0
    assert closed > 10


def only(load, jobs):
    """The same case with these jobs alone."""
    old, rows = load.jobs, np.array(jobs)
    return replace(
        load,
        jobs=Workload(
            old.arrival[rows],
            old.prompt_tokens[rows],
            old.output_tokens[rows],
            Beliefs(old.beliefs.table, old.beliefs.index[rows]),
            priority=old.priority[rows],
            max_tokens=old.max_tokens[rows],
        ),
    )

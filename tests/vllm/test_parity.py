"""The simulator under vLLM's rules and vLLM's own scheduler, with our class, decide the same in every iteration."""

import pytest
from tests.vllm.alone import scheduler
from tests.vllm.workloads import POLICIES, case, difference, driven, simulated

from soonest.engines.vllm import Scheduler

ENGINES = [(block_size, budget) for block_size in (16, 128) for budget in (64, 2048)]
SEEDS = range(50)


@pytest.mark.parametrize(("block_size", "budget"), ENGINES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_are_admitted_computed_and_preempted_at_every_iteration(facts, policy, block_size, budget):
    queued = preempted = closed = 0
    for seed in SEEDS:
        load = case(seed, block_size, budget)
        ours = scheduler(
            Scheduler,
            facts,
            slots=load.slots,
            budget=budget,
            blocks=load.blocks,
            block_size=block_size,
            options={"policy": policy},
        )
        found, expected = driven(load, ours), simulated(load, policy)
        assert difference(found, expected) is None, (seed, difference(found, expected))
        assert ours.board["policy_errors"] == 0
        queued += any(step.waiting for step in found)
        preempted += any(step.preempted for step in found)
        closed += ours.board["doors_closed"] > 0
    assert queued == len(SEEDS)
    reserves = "a_" in policy or "reserve" in policy
    assert closed if reserves else not closed
    assert preempted or policy in {"a_max", "fcfs_reserve", "response_ratio(a_max)"}

"""With `fcfs` nothing changes: order, chunks and preemptions are vLLM's own."""

from dataclasses import replace

import numpy as np
import pytest
from tests.vllm.alone import scheduler
from tests.vllm.workloads import case, difference, driven
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler as Plain

from soonest.core import Forecast
from soonest.engines.vllm import Scheduler
from soonest.sim.forecasts import Beliefs

SEEDS = range(50)


def same_class(workload):
    """vLLM's own first come, first served looks at no priority."""
    workload.jobs.priority[:] = 0
    return workload


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("block_size", [16, 128])
@pytest.mark.parametrize("budget", [64, 2048])
def test_fcfs_is_vllms_own_order_chunks_and_preemptions(facts, block_size, budget, late):
    preempted = 0
    for seed in SEEDS:
        load = same_class(case(seed, block_size, budget))
        facts_of_engine = {"slots": load.slots, "budget": budget, "blocks": load.blocks, "block_size": block_size}
        facts_of_engine |= {"asynchronous": bool(late), "prefix_caching": seed % 2 == 1}
        own = AsyncScheduler if late or seed % 3 else Plain
        theirs = driven(load, scheduler(own, facts, **facts_of_engine), late)
        ours = driven(load, scheduler(Scheduler, facts, options={"policy": "fcfs"}, **facts_of_engine), late)
        assert difference(ours, theirs) is None, (seed, difference(ours, theirs))
        assert [list(step.tokens) for step in ours] == [list(step.tokens) for step in theirs]
        preempted += any(step.preempted for step in ours)
    assert preempted > len(SEEDS) // 10


@pytest.mark.parametrize("policy", ["shortest", "a_max", "a_min", "response_ratio(a_min)"])
def test_without_any_forecast_the_order_is_vllms_own(facts, policy):
    for seed in range(5):
        load = same_class(case(seed, 16, 64))
        nothing = Beliefs((Forecast.unknown(2048),), np.zeros(len(load.jobs), dtype=np.int32))
        load = replace(load, jobs=replace(load.jobs, beliefs=nothing))
        theirs = driven(load, scheduler(AsyncScheduler, facts, slots=load.slots, blocks=4000))
        ours = driven(load, scheduler(Scheduler, facts, slots=load.slots, blocks=4000, options={"policy": policy}))
        assert difference(ours, theirs) is None, (seed, difference(ours, theirs))

"""What vLLM does beside plain answers goes on as without us."""

import importlib.metadata
import subprocess
import sys

import pytest
from tests.vllm.alone import Drive, request, scheduler
from vllm.config.lora import LoRAConfig
from vllm.lora.request import LoRARequest
from vllm.pooling_params import PoolingParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request

from soonest.engines.vllm import Scheduler

POLICIES = ("fcfs", "shortest", "a_min", "a_max", "response_ratio(shortest)")


def adapted(name, tokens, adapter):
    made = request(name, 20, forecast=(tokens, tokens, tokens))
    made.lora_request = LoRARequest(f"adapter-{adapter}", adapter, f"/adapters/{adapter}")
    return made


@pytest.mark.parametrize("policy", POLICIES)
def test_no_more_adapters_run_at_once_than_fit_and_the_others_keep_their_places(facts, policy):
    ours = scheduler(Scheduler, facts, slots=4, budget=256, options={"policy": policy})
    ours.lora_config = LoRAConfig(max_loras=1)
    lengths = {str(i): 4 + i for i in range(9)}
    for i, (name, tokens) in enumerate(lengths.items()):
        ours.add_request(adapted(name, tokens, 1 + i % 2))
    drive = Drive(ours, lengths)
    while ours.has_unfinished_requests():
        drive.step()
        assert len({r.lora_request.lora_int_id for r in ours.running}) <= 1
        assert len(ours.waiting) + len(ours.running) == len(ours.requests)
    assert {name for step in drive.steps for name in step.tokens} == set(lengths)


@pytest.mark.parametrize("kind", [AsyncScheduler, Scheduler])
def test_pooling_requests_end_with_their_prompt(facts, kind):
    ours = scheduler(kind, facts, slots=2, budget=64)
    for i in range(5):
        ours.add_request(Request(str(i), [9] * (10 + i), None, PoolingParams(task="embed")))
    ended = []
    for _ in range(20):
        output = ours.schedule()
        names = list(output.num_scheduled_tokens)
        done = ours.update_from_output(
            output,
            ModelRunnerOutput(
                req_ids=names,
                req_id_to_index={name: i for i, name in enumerate(names)},
                sampled_token_ids=[],
                pooler_output=[object()] * len(names),
            ),
        )
        ended += [o.request_id for each in done.values() for o in each.outputs]
        if not ours.has_unfinished_requests():
            break
    assert ended == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("policy", POLICIES)
def test_stored_prefixes_are_found_under_any_order(facts, policy):
    prefix = list(range(10, 90))
    computed = {}
    for kind, options in ((AsyncScheduler, None), (Scheduler, {"policy": policy})):
        ours = scheduler(kind, facts, slots=3, budget=256, blocks=200, prefix_caching=True, options=options)
        lengths = {str(i): 5 + i for i in range(8)}
        for name, tokens in lengths.items():
            ours.add_request(request(name, [*prefix, 500 + int(name)], forecast=(tokens, tokens, tokens)))
        computed[kind] = sum(sum(step.tokens.values()) for step in Drive(ours, lengths).run())
    assert computed[Scheduler] == computed[AsyncScheduler]


@pytest.mark.parametrize("policy", ["a_min", "a_max"])
@pytest.mark.parametrize("late", [0, 1])
def test_sharing_never_breaks_the_promise_of_the_door(facts, policy, late):
    """Requests that share prefixes of different lengths, in little memory: `a_max` preempts nobody all the same."""
    import numpy as np

    for seed in range(30):
        draw = np.random.default_rng(seed)
        lengths = {str(i): int(draw.integers(1, 60)) for i in range(14)}
        ours = scheduler(
            Scheduler,
            facts,
            slots=6,
            budget=2048,
            blocks=int(draw.integers(14, 24)),
            prefix_caching=True,
            asynchronous=bool(late),
            options={"policy": policy},
        )
        stem = draw.integers(10, 500, 100).tolist()
        drive = Drive(ours, lengths, late)
        for name, tokens in lengths.items():
            prompt = stem[: int(draw.integers(0, 100))] + draw.integers(10, 500, int(draw.integers(1, 40))).tolist()
            low = max(1, tokens - int(draw.integers(0, 20)))
            ours.add_request(request(name, prompt, forecast=(low, tokens, tokens + int(draw.integers(0, 20)))))
            if draw.uniform() < 0.5:
                drive.step()
        steps = drive.run()
        assert {name for step in steps for name in step.tokens} == set(lengths)
        assert policy == "a_min" or not any(step.preempted for step in steps), seed
        assert ours.lookahead.fixed >= 0
        assert not len(ours.lookahead.load)


def test_installing_beside_vllm_breaks_nothing():
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    ours = {name.split()[0].lower() for name in importlib.metadata.requires("soonest") if "extra ==" not in name}
    ours = {name.split(">")[0] for name in ours}
    for line in done.stdout.splitlines():
        assert "soonest" not in line, line
        assert not any(f"requires {name}" in line or f"have {name}" in line for name in ours), line

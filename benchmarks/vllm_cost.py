"""What scheduling costs in vLLM: seconds a step of our scheduler beside vLLM's `fcfs` and `priority`, without a model.

    python benchmarks/vllm_cost.py --out benchmarks/results/vllm_cost.json

256 requests run and so many wait; each step 2.5 answers end on average, and as many requests arrive, so the queue keeps
its length. Forecasts say nothing about lengths, so that every order ends as many answers a step. The schedulers take
turns in one process, step by step, in an order drawn anew; garbage is collected between them. Time is the thread's on
the processor, so other work on the machine matters little. `schedule` is the call of that name; `step` adds the
arrivals and the tokens that come back. Figures are means over the steps without the slowest twentieth, ratios are those
of the means.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import torch
from vllm.config import CacheConfig, ModelConfig, ParallelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.single_type_kv_cache_manager import register_all_kvcache_specs
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager
from vllm.version import __version__ as version

from soonest.engines.vllm import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNNING, PROMPT, MEAN_TOKENS, BLOCK = 256, 32, 100, 16
TOKEN, END = 7, 2
WAITING = (0, 1_000, 20_000)
ARMS: dict[str, tuple[str, str | None]] = {
    "vLLM fcfs": ("fcfs", None),
    "vLLM priority": ("priority", None),
    "fcfs": ("fcfs", "fcfs"),
    "shortest": ("fcfs", "shortest"),
    "aging(shortest)": ("fcfs", "aging(shortest)"),
    "a_min": ("fcfs", "a_min"),
    "a_max": ("fcfs", "a_max"),
    "response_ratio(shortest)": ("fcfs", "response_ratio(shortest)"),
}
MOST = {"response_ratio(shortest)": 1.3}
MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 8192,
}


class Asked(NamedTuple):
    """A request to be: its answer's length, and what is forecast of it."""

    name: str
    tokens: int
    guess: int

    @classmethod
    def drawn(cls, name: str, chance: random.Random) -> Asked:
        """One of any length and any forecast."""
        return cls(name, chance.randint(1, 2 * MEAN_TOKENS), chance.randint(1, 2 * MEAN_TOKENS))

    def request(self, *, ranked: bool) -> Any:
        """As vLLM's engine gets it; `ranked`: the forecast is the priority."""
        params = SamplingParams(max_tokens=4 * MEAN_TOKENS, extra_args={"soonest_forecast": [self.guess] * 3})
        params.update_from_generation_config({}, END)
        return Request(self.name, list(range(10, 10 + PROMPT)), params, None, priority=self.guess if ranked else 0)


class Arm:
    """One scheduler at work."""

    def __init__(self, model: Path, scheduling_policy: str, policy: str | None, slots: int, blocks: int) -> None:
        self.ranked = scheduling_policy == "priority"
        self.lengths: dict[str, int] = {}
        config = VllmConfig(
            model_config=ModelConfig(model=str(model), dtype="float32", skip_tokenizer_init=True, max_model_len=4096),
            scheduler_config=SchedulerConfig(
                max_num_seqs=slots,
                max_num_batched_tokens=8192,
                max_model_len=4096,
                is_encoder_decoder=False,
                policy=scheduling_policy,
            ),
            cache_config=CacheConfig(block_size=BLOCK, enable_prefix_caching=False),
            parallel_config=ParallelConfig(),
            additional_config={} if policy is None else {"soonest": {"policy": policy}},
        )
        register_all_kvcache_specs(config)
        spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
        config.cache_config.num_gpu_blocks = blocks + 1
        self.scheduler: Any = (AsyncScheduler if policy is None else Scheduler)(
            vllm_config=config,
            kv_cache_config=KVCacheConfig(
                num_blocks=blocks + 1, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]
            ),
            block_size=BLOCK,
            log_stats=True,
            structured_output_manager=StructuredOutputManager(config),
        )

    def sampled(self, request: Any) -> list[int]:
        """The token that the model would give: the last one ends the answer."""
        if request.is_prefill_chunk:
            return []
        return [END if request.num_output_tokens + 1 >= self.lengths[request.request_id] else TOKEN]

    def add(self, asked: Asked) -> None:
        """A request joins before the clock runs."""
        self.lengths[asked.name] = asked.tokens
        self.scheduler.add_request(asked.request(ranked=self.ranked))

    def step(self, arrivals: list[Asked]) -> tuple[float, float]:
        """One step: seconds of `schedule`, and of all that the scheduler does for it."""
        self.lengths |= {asked.name: asked.tokens for asked in arrivals}
        requests = [asked.request(ranked=self.ranked) for asked in arrivals]
        begun = time.thread_time()
        for request in requests:
            self.scheduler.add_request(request)
        before = time.thread_time()
        output = self.scheduler.schedule()
        after = time.thread_time()
        names = list(output.num_scheduled_tokens)
        answer = ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: i for i, name in enumerate(names)},
            sampled_token_ids=[self.sampled(self.scheduler.requests[name]) for name in names],
        )
        resumed = time.thread_time()
        self.scheduler.update_from_output(output, answer)
        end = time.thread_time()
        return after - before, after - begun + end - resumed


def measure(model: Path, waiting: int, steps: int, *, tight: bool, seed: int) -> dict[str, Any]:
    """All schedulers at one length of the queue."""
    chance = random.Random(seed)  # noqa: S311 - a workload, no secret
    need = -(-(PROMPT + MEAN_TOKENS // 2) // BLOCK)
    slots, blocks = (2 * RUNNING, RUNNING * need) if tight else (RUNNING, 100_000)
    arms = {name: Arm(model, *kind, slots, blocks) for name, kind in ARMS.items()}
    names = iter(range(10**9))
    for arm in arms.values():
        chance.seed(seed)
        for i in range(RUNNING + waiting):
            arm.add(Asked.drawn(f"first-{i}", chance))
    print(f"{waiting} waiting: the queues are full", file=sys.stderr, flush=True)
    for arm in arms.values():
        for _ in range(20):
            arm.step([])
    taken: dict[str, list[tuple[float, float]]] = defaultdict(list)
    gc.collect()
    gc.freeze()  # as vLLM does
    gc.disable()
    for turn in range(steps):
        order = list(arms)
        chance.shuffle(order)
        batch = [Asked.drawn(f"later-{next(names)}", chance) for _ in range(40)]
        for name in order:
            arm = arms[name]
            missing = RUNNING + waiting - sum(arm.scheduler.get_request_counts())
            taken[name].append(arm.step(batch[: max(0, missing)]))
        if turn % 20 == 0:
            gc.collect()
        if turn % 50 == 49:
            print(f"{waiting} waiting: {turn + 1} of {steps} steps", file=sys.stderr, flush=True)
    gc.enable()
    gc.unfreeze()
    base = [mean(column) for column in zip(*taken["vLLM fcfs"], strict=True)]
    rows = {}
    for name, times in taken.items():
        schedule, step = (mean(column) for column in zip(*times, strict=True))
        rows[name] = {
            "schedule_us": round(1e6 * schedule, 1),
            "step_us": round(1e6 * step, 1),
            "schedule_ratio": round(schedule / base[0], 3),
            "step_ratio": round(step / base[1], 3),
            "running": len(arms[name].scheduler.running),
        }
    return {"waiting": waiting, "memory_binds": tight, "schedulers": rows}


def mean(seconds: Sequence[float]) -> float:
    """The mean without the slowest twentieth."""
    return statistics.fmean(sorted(seconds)[: max(1, len(seconds) * 19 // 20)])


def main() -> None:
    """Measure and write it down."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--steps", type=int, default=300)
    asked.add_argument("--waiting", type=int, nargs="+", default=WAITING, help="lengths of the queue")
    asked.add_argument("--tight", action="store_true", help="measure also with memory, not slots, as the limit")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--out", type=Path)
    given = asked.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(MODEL))
        for tight in (False, True) if given.tight else (False,):
            for waiting in given.waiting:
                row = measure(Path(folder), waiting, given.steps, tight=tight, seed=given.seed)
                found.append(row)
                print(f"{waiting} waiting, {'memory' if tight else 'slots'} bind:")
                for name, values in row["schedulers"].items():
                    most = MOST.get(name, 1.1)
                    late = "" if name.startswith("vLLM") or values["step_ratio"] <= most else f"  above {most}"
                    print(
                        f"  {name:26} schedule {values['schedule_us']:8.1f} us {values['schedule_ratio']:6.2f}x"
                        f"   step {values['step_us']:8.1f} us {values['step_ratio']:6.2f}x{late}"
                    )
    result = {
        "vllm": version,
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "steps": given.steps,
        "rows": found,
    }
    if given.out:
        given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""vLLM's scheduler without a model: it is told which tokens came, and shows what it decided, step by step."""

from dataclasses import dataclass, field
from functools import cache
from zlib import crc32

import torch
from vllm.config import CacheConfig, ModelConfig, ParallelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.single_type_kv_cache_manager import register_all_kvcache_specs
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

TOKEN, END = 7, 2
init_none_hash(sha256)


LONGEST = 4096


@cache
def configuration(model, budget, block_size, asynchronous, prefix_caching, scheduling_policy):
    """vLLM's configuration; it takes long to make, and most of it is the same for all."""
    config = VllmConfig(
        model_config=ModelConfig(model=str(model), dtype="float32", skip_tokenizer_init=True, max_model_len=LONGEST),
        scheduler_config=SchedulerConfig(
            max_num_seqs=min(64, budget),
            max_num_batched_tokens=budget,
            max_model_len=LONGEST,
            is_encoder_decoder=False,
            enable_chunked_prefill=True,
            policy=scheduling_policy,
        ),
        cache_config=CacheConfig(block_size=block_size, enable_prefix_caching=prefix_caching),
        parallel_config=ParallelConfig(),
    )
    config.scheduler_config.async_scheduling = asynchronous  # the CPU's platform turns it off
    register_all_kvcache_specs(config)
    return config, StructuredOutputManager(config)


def scheduler(
    kind,
    model,
    *,
    slots=8,
    budget=64,
    blocks=1000,
    block_size=16,
    options=None,
    asynchronous=False,
    prefix_caching=False,
    scheduling_policy="fcfs",
):
    """A scheduler of this class; `blocks` are those that can be used, the null block comes on top."""
    config, outputs = configuration(model, budget, block_size, asynchronous, prefix_caching, scheduling_policy)
    config.scheduler_config.max_num_seqs = slots
    config.cache_config.num_gpu_blocks = blocks + 1
    config.additional_config = {} if options is None else {"soonest": options}
    spec = FullAttentionSpec(block_size=block_size, num_kv_heads=1, head_size=1, dtype=torch.float32)
    return kind(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(
            num_blocks=blocks + 1, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]
        ),
        block_size=block_size,
        log_stats=True,
        structured_output_manager=outputs,
    )


def request(name, prompt, limit=2048, *, forecast=None, priority=0, block_size=16, resumable=False):
    """A request; `prompt` is a list of tokens, or a number of tokens that nobody else has."""
    tokens = [crc32(f"{name} {i}".encode()) % 900 + 10 for i in range(prompt)] if isinstance(prompt, int) else prompt
    params = SamplingParams(
        max_tokens=limit, extra_args=None if forecast is None else {"soonest_forecast": list(forecast)}
    )
    params.update_from_generation_config({}, END)
    return Request(
        request_id=str(name),
        prompt_token_ids=tokens,
        sampling_params=params,
        pooling_params=None,
        priority=priority,
        block_hasher=get_request_block_hasher(block_size, sha256),
        resumable=resumable,
    )


@dataclass(eq=False)
class Step:
    """What one iteration decided: tokens computed by each, who joined, who was preempted; and how many wait on."""

    tokens: dict
    joined: set
    preempted: set
    waiting: int = 0


@dataclass
class Drive:
    """Runs a scheduler; answers have these `lengths`, and come `late` steps after they were scheduled."""

    scheduler: object
    lengths: dict
    late: int = 0
    steps: list = field(default_factory=list)
    in_flight: list = field(default_factory=list)

    def step(self):
        before = {r.request_id for r in self.scheduler.running}
        output = self.scheduler.schedule()
        now = {r.request_id for r in self.scheduler.running}
        waiting = len(self.scheduler.waiting)
        self.steps.append(Step(dict(output.num_scheduled_tokens), now - before, before - now, waiting))
        planned = output.total_num_scheduled_tokens > 0
        if planned or not self.late:
            self.in_flight.append(output)
        if len(self.in_flight) > self.late or (self.in_flight and not planned):
            self.answer()
        return self.steps[-1]

    def answer(self):
        """The oldest of the scheduled steps has run: who computed its last token has another."""
        output = self.in_flight.pop(0)
        started = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
        cached = output.scheduled_cached_reqs
        started |= dict(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        names = list(output.num_scheduled_tokens)
        tokens = []
        for name in names:
            source = self.scheduler.requests.get(name)
            last = source is not None and source.num_output_tokens + 1 == self.lengths[name]
            whole = source is not None and started[name] + output.num_scheduled_tokens[name] >= source.num_tokens
            tokens.append(([END] if last else [TOKEN]) if whole else [])
        self.scheduler.update_from_output(
            output,
            ModelRunnerOutput(
                req_ids=names,
                req_id_to_index={name: i for i, name in enumerate(names)},
                sampled_token_ids=tokens,
            ),
        )

    def run(self, most=100_000):
        """Until nobody is left."""
        while self.scheduler.has_unfinished_requests() or self.in_flight:
            self.step()
            assert len(self.steps) < most, "it never ends"
        return self.steps

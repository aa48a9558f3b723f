"""vLLM's scheduler without a model: it is told which tokens came, and shows what it decided, step by step."""

from dataclasses import dataclass, field

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

TOKEN = 7
init_none_hash(sha256)


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
    **more,
):
    """A scheduler of this class; `blocks` are those that can be used, the null block comes on top."""
    longest = 4096
    config = VllmConfig(
        model_config=ModelConfig(model=str(model), dtype="float32", skip_tokenizer_init=True, max_model_len=longest),
        scheduler_config=SchedulerConfig(
            max_num_seqs=slots,
            max_num_batched_tokens=budget,
            max_model_len=longest,
            is_encoder_decoder=False,
            enable_chunked_prefill=True,
            async_scheduling=asynchronous,
            policy=scheduling_policy,
            **more,
        ),
        cache_config=CacheConfig(block_size=block_size, enable_prefix_caching=prefix_caching),
        parallel_config=ParallelConfig(),
        additional_config={} if options is None else {"soonest": options},
    )
    config.scheduler_config.async_scheduling = asynchronous  # the CPU's platform turns it off
    spec = FullAttentionSpec(block_size=block_size, num_kv_heads=1, head_size=1, dtype=torch.float32)
    config.cache_config.num_gpu_blocks = blocks + 1
    register_all_kvcache_specs(config)
    return kind(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(
            num_blocks=blocks + 1, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]
        ),
        block_size=block_size,
        log_stats=True,
        structured_output_manager=StructuredOutputManager(config),
    )


def request(name, prompt, limit, *, forecast=None, priority=0, block_size=16, salt=None):
    """A request; `prompt` is a number of tokens that nobody else has, or a list of tokens."""
    tokens = [hash((name, i)) % 1000 + 10 for i in range(prompt)] if isinstance(prompt, int) else prompt
    extra = None if forecast is None else {"soonest_forecast": forecast}
    params = SamplingParams(max_tokens=limit, ignore_eos=True, extra_args=extra)
    params.update_from_generation_config({}, 2)
    return Request(
        request_id=name,
        prompt_token_ids=tokens,
        sampling_params=params,
        pooling_params=None,
        priority=priority,
        cache_salt=salt,
        block_hasher=get_request_block_hasher(block_size, sha256),
    )


@dataclass
class Step:
    """What one iteration decided: tokens computed by each, who joined, who was preempted."""

    tokens: dict
    joined: list
    preempted: list


@dataclass
class Drive:
    """Runs a scheduler: answers come `late` steps after they were scheduled, as with asynchronous scheduling."""

    scheduler: object
    late: int = 0
    steps: list = field(default_factory=list)
    in_flight: list = field(default_factory=list)

    def step(self):
        before = {r.request_id for r in self.scheduler.running}
        output = self.scheduler.schedule()
        now = [r.request_id for r in self.scheduler.running]
        done = Step(
            dict(output.num_scheduled_tokens),
            [i for i in now if i not in before],
            sorted(before - set(now)),
        )
        self.steps.append(done)
        self.in_flight.append(output)
        if len(self.in_flight) > self.late:
            self.answer()
        return done

    def answer(self):
        """The oldest scheduled step has run."""
        output = self.in_flight.pop(0)
        emitting, sampled = [], []
        started = {r.req_id: r.num_computed_tokens for r in output.scheduled_new_reqs}
        cached = output.scheduled_cached_reqs
        started |= dict(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        for name, count in output.num_scheduled_tokens.items():
            source = self.scheduler.requests.get(name)
            whole = started[name] + count
            emitting.append(name)
            sampled.append([TOKEN] if source is not None and whole >= self.known(source) else [])
        self.scheduler.update_from_output(
            output,
            ModelRunnerOutput(
                req_ids=emitting,
                req_id_to_index={name: i for i, name in enumerate(emitting)},
                sampled_token_ids=sampled,
            ),
        )

    @staticmethod
    def known(source):
        """Tokens that must be computed before the next one can be sampled."""
        return source.num_tokens

    def run(self, most=100_000):
        """Until nobody is left."""
        for _ in range(most):
            if not self.scheduler.has_unfinished_requests() and not self.in_flight:
                return self.steps
            self.step()
        raise AssertionError(f"not done after {most} steps")

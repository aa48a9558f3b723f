"""One real engine in this process, whose scheduler can be another for each test: vLLM runs one engine a process."""

from dataclasses import dataclass, field, replace

from tests.vllm.alone import Step
from vllm import EngineArgs, SamplingParams
from vllm.v1.engine.llm_engine import LLMEngine

BLOCK = 32
BUDGET = 64


@dataclass
class Answer:
    """What came of one request."""

    tokens: list = field(default_factory=list)
    logprobs: list = field(default_factory=list)
    reason: str | None = None


class Real:
    """A real engine. `scheduler` replaces its scheduler while nothing runs; `log` is what each step decided."""

    def __init__(self, model):
        self.engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=str(model),
                dtype="float32",
                enforce_eager=True,
                max_model_len=1024,
                max_num_seqs=8,
                max_num_batched_tokens=BUDGET,
                block_size=BLOCK,
                num_gpu_blocks_override=65,
                enable_prefix_caching=False,
                scheduler_cls="soonest.engines.vllm.Scheduler",
                disable_log_stats=False,
                seed=0,
            ),
            enable_multiprocessing=False,
        )
        self.core = self.engine.engine_core.engine_core
        self.first = self.core.scheduler
        self.asked = 0

    def scheduler(self, kind, *, slots=8, blocks=64, options=None, prefix_caching=False):
        """A scheduler of this class on the same cache."""
        config = self.core.vllm_config
        config.scheduler_config.max_num_seqs = slots
        config.additional_config = {} if options is None else {"soonest": options}
        config.cache_config.enable_prefix_caching = prefix_caching
        made = kind(
            vllm_config=config,
            kv_cache_config=replace(self.first.kv_cache_config, num_blocks=blocks + 1),
            structured_output_manager=self.core.structured_output_manager,
            block_size=self.first.block_size,
            hash_block_size=self.first.hash_block_size,
            log_stats=True,
        )
        made.finished_req_ids |= self.core.scheduler.finished_req_ids
        self.core.scheduler = made
        return made

    def add(self, name, prompt, tokens, *, forecast=None, priority=0, **more):
        """A request for exactly so many greedy tokens."""
        extra = None if forecast is None else {"soonest_forecast": list(forecast)}
        params = SamplingParams(
            **{"temperature": 0.0, "max_tokens": tokens, "ignore_eos": True, "extra_args": extra} | more
        )
        self.engine.add_request(str(name), {"prompt_token_ids": list(prompt)}, params, priority=priority)

    def step(self, log=None, answers=None):
        """One iteration."""
        scheduler = self.core.scheduler
        before, decided = {r.request_id for r in scheduler.running}, {}
        schedule = scheduler.schedule

        def watched(*args, **kwargs):
            output = schedule(*args, **kwargs)
            now = {r.request_id for r in scheduler.running}
            decided.update(tokens=dict(output.num_scheduled_tokens), now=now, waiting=len(scheduler.waiting))
            return output

        scheduler.schedule = watched
        try:
            outputs = self.engine.step()
        finally:
            del scheduler.schedule
        if log is not None and decided:
            log.append(
                Step(
                    {outside(name): n for name, n in decided["tokens"].items()},
                    {outside(name) for name in decided["now"] - before},
                    {outside(name) for name in before - decided["now"]},
                    decided["waiting"],
                )
            )
        for output in outputs if answers is not None else ():
            one = output.outputs[0]
            answers[output.request_id] = Answer(list(one.token_ids), list(one.logprobs or ()), one.finish_reason)
        return outputs

    def run(self, most=20_000):
        """Until nobody is left: the iterations, and the answers in the order in which they ended."""
        log, answers = [], {}
        while self.engine.has_unfinished_requests():
            self.step(log, answers)
            assert len(log) < most, "it never ends"
        return log, answers


def outside(name):
    """The id that was given, without the letters that vLLM adds."""
    return name.rsplit("-", 1)[0]

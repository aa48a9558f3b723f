# ruff: noqa: E402 - vLLM reads its variables when it is imported
"""Real vLLM in this process, and waves of requests for it, as `benchmarks/vllm_benefit.py` runs them.

On a processor, seconds are those of the engine's one thread at the speed that the machine had in the closed loop, so
what else the machine does matters little. On a GPU they are the wall clock's, and a policy's own cost is in them.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
for _name, _value in (
    ("VLLM_CPU_KVCACHE_SPACE", "1"),
    ("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
    ("OMP_NUM_THREADS", "1"),
    ("HF_HUB_OFFLINE", "1"),
    ("VLLM_NO_USAGE_STATS", "1"),
    ("DO_NOT_TRACK", "1"),
):
    os.environ.setdefault(_name, _value)

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - beside the variables above
from vllm import EngineArgs, SamplingParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.engine.llm_engine import LLMEngine

from soonest.core import Forecast
from soonest.engines.vllm import Scheduler
from soonest.sim import StepTime, Workload
from soonest.sim.forecasts import Beliefs
from soonest.sim.steptime import SECOND

if TYPE_CHECKING:
    from benchmarks.vllm_places import Place

BLOCK, LONGEST_PROMPT, LONGEST_ANSWER = 32, 600, 200
NOTHING: Final = (0, 0, 0)
THEIRS: Final = {"fifo": "fcfs", "priority": "priority"}
"""vLLM's own schedulers, by our words for them; any other word is a policy of ours."""


WINDOW: Final = 100
"""Iterations that show how fast the machine is just then."""


@dataclass(frozen=True)
class Wave:
    """Requests: tokens of each, when it arrives, and what is forecast of it."""

    prompt: NDArray[np.int64]
    output: NDArray[np.int64]
    arrival: NDArray[np.float64]
    guess: NDArray[np.float64]
    spread: float

    def told(self, i: int, *, truth: bool) -> tuple[float, float, float]:
        """Low, expected, high."""
        if truth:
            n = float(self.output[i])
            return n, n, n
        middle = float(self.guess[i])
        reach = float(np.exp(1.2816 * self.spread))  # four answers of five lie within
        return max(1.0, middle / reach), middle, min(middle * reach, float(LONGEST_ANSWER))

    def workload(self, *, truth: bool) -> Workload:
        """The same for the simulator."""
        table = tuple(Forecast.hint(*self.told(i, truth=truth)) for i in range(len(self.prompt)))
        return Workload(
            self.arrival,
            self.prompt,
            self.output,
            Beliefs(table, np.arange(len(table), dtype=np.int32)),
            max_tokens=self.output,
        )


@dataclass
class Clock:
    """Seconds at the speed of the closed loop.

    An iteration takes its processor time over how slow the machine is just then: what the last `WINDOW` iterations
    took, beside what `steps` says of them. A speed that drifts would otherwise decide how much is waited in a run. On a
    steady machine it takes what it took.
    """

    steps: StepTime
    steady: bool

    def __post_init__(self) -> None:
        self.seconds = 0.0
        self._took: deque[float] = deque(maxlen=WINDOW)
        self._said: deque[float] = deque(maxlen=WINDOW)

    def advance(self, row: tuple[int, int, int], took: float) -> None:
        """An iteration ended: its prefill tokens, sequences and context tokens, and its processor time."""
        self._took.append(took)
        self._said.append(self.steps.duration(*row) / SECOND)
        self.seconds += took if self.steady else took / self.slowness

    @property
    def slowness(self) -> float:
        """What the last iterations took over what they took in the closed loop."""
        return sum(self._took) / sum(self._said)


class Machine:
    """One engine, whose scheduler is replaced between runs, while nobody runs.

    Attributes:
        preempted: in the last run.
        row: prefill tokens, sequences and context tokens of the iteration that ended last.
    """

    def __init__(self, place: Place, blocks: int) -> None:
        self.engine = LLMEngine.from_engine_args(
            EngineArgs(
                **place.arguments,
                max_model_len=1024,
                max_num_seqs=place.slots,
                max_num_batched_tokens=place.budget,
                block_size=BLOCK,
                num_gpu_blocks_override=blocks + 1,
                enable_prefix_caching=False,
            ),
            enable_multiprocessing=False,
        )
        core: Any = self.engine.engine_core
        self.place, self.core = place, core.engine_core
        self.first = self.core.scheduler
        self.preempted, self.row, self._scheduled = 0, NOTHING, NOTHING

    def use(self, policy: str, blocks: int) -> None:
        """Another scheduler, on so many of the blocks."""
        while self.core.batch_queue:  # of requests that have ended
            self.engine.step()
        config = self.core.vllm_config
        config.scheduler_config.policy = THEIRS.get(policy, "fcfs")
        config.additional_config = {"soonest": {"policy": policy}}
        made: Any = (AsyncScheduler if policy in THEIRS else Scheduler)(
            vllm_config=config,
            kv_cache_config=replace(self.first.kv_cache_config, num_blocks=blocks + 1),
            structured_output_manager=self.core.structured_output_manager,
            block_size=self.first.block_size,
            hash_block_size=self.first.hash_block_size,
            log_stats=True,
        )
        made.finished_req_ids |= self.core.scheduler.finished_req_ids
        preempt, self.preempted = made._preempt_request, 0  # noqa: SLF001 - vLLM counts them per request alone

        def counted(*args: Any, **kwargs: Any) -> None:
            self.preempted += 1
            preempt(*args, **kwargs)

        made._preempt_request = counted  # noqa: SLF001 - as above
        schedule = made.schedule

        def watched(*args: Any, **kwargs: Any) -> Any:
            computed = {r.request_id: r.num_computed_tokens for r in made.running}
            output = schedule(*args, **kwargs)
            counts = output.num_scheduled_tokens
            decoding = {name for name, n in counts.items() if n == 1 and name in computed}
            context = sum(computed.get(name, 0) + n for name, n in counts.items())
            prefill = sum(n for name, n in counts.items() if name not in decoding)
            self._scheduled = (prefill, len(counts), context)
            return output

        made.schedule = watched
        self.core.scheduler = made

    def add(self, wave: Wave, i: int, *, truth: bool) -> None:
        """A request of its length, with its forecast; under vLLM's own priority scheduling that is its priority.

        Elsewhere it has none: priority is the first key of our order, too.
        """
        low, expected, high = wave.told(i, truth=truth)
        tokens = np.random.default_rng(i).integers(4, 700, int(wave.prompt[i])).tolist()
        params = SamplingParams(
            temperature=0.0,
            max_tokens=int(wave.output[i]),
            ignore_eos=True,
            detokenize=not self.place.arguments.get("skip_tokenizer_init", False),
            extra_args={"soonest_forecast": [low, expected, high]},
        )
        by_priority = self.core.vllm_config.scheduler_config.policy == "priority"
        priority = round(expected) if by_priority else 0
        self.engine.add_request(str(i), {"prompt_token_ids": tokens}, params, priority=priority)

    def step(self) -> tuple[list[Any], float]:
        """One iteration: what it put out, and its seconds.

        Where vLLM schedules one while the one before runs, what ends is the one before.
        """
        queue = self.core.batch_queue
        before = self._scheduled if queue else NOTHING
        begun = self.place.now()
        outputs = self.engine.step()
        took = self.place.now() - begun
        self.row = self._scheduled if queue is None else before
        return outputs, took

    def serve(self, wave: Wave, clock: Clock, *, truth: bool) -> NDArray[np.float64]:
        """Seconds from arrival to end of each request; while nobody runs the clock leaps to the next arrival."""
        n, came, leapt = len(wave.arrival), 0, -clock.seconds
        ended = np.full(n, np.nan)
        while came < n or self.engine.has_unfinished_requests():
            if not self.engine.has_unfinished_requests():
                leapt += max(0.0, float(wave.arrival[came]) - clock.seconds - leapt)
            while came < n and wave.arrival[came] <= clock.seconds + leapt:
                self.add(wave, came, truth=truth)
                came += 1
            outputs, took = self.step()
            clock.advance(self.row, took)
            for output in outputs:
                if output.finished:
                    ended[int(output.request_id)] = clock.seconds + leapt
        return ended - wave.arrival

    def closed_loop(self, wave: Wave) -> tuple[int, int, NDArray[np.float64]]:
        """All at once: in how many iterations somebody waits, how many requests end in those, and a row for each.

        Rows are as `fit_steps` takes them.
        """
        rows, ends, full = [], [], 0
        for i in range(len(wave.prompt)):
            self.add(wave, i, truth=True)
        while self.engine.has_unfinished_requests():
            outputs, took = self.step()
            if self.row != NOTHING:
                rows.append((*self.row, took))
            ends += [len(rows)] * sum(output.finished for output in outputs)
            if len(self.core.scheduler.waiting):
                full = len(rows)
        return full, sum(end <= full for end in ends), np.array(rows, dtype=np.float64)

"""vLLM's scheduler with our queue for its waiting requests, our door and our order of preemption."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.version import __version__ as version

from soonest.core import Forecast, Need, PolicyError, Queue, Request, Rules
from soonest.core.policy import keeps_by_admission
from soonest.engines.vllm.forecasts import forecast_of
from soonest.engines.vllm.guard import Guard
from soonest.engines.vllm.lookahead import Lookahead
from soonest.engines.vllm.metrics import remove, shared_board
from soonest.engines.vllm.needed import TESTED, check
from soonest.engines.vllm.options import Options
from soonest.engines.vllm.waiting import Call, Waiting
from soonest.policies import policy as named

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.request import Request as VllmRequest

    from soonest.core import Policy

log = logging.getLogger("vllm.soonest")
GIVES = frozenset({Need.EVICT})
"""What a policy may count on: the preempted compute their tokens again, and nobody is sent back after a quantum."""
ANSWERED = {"FINISHED_STOPPED", "FINISHED_LENGTH_CAPPED", "FINISHED_REPETITION"}
"""How an answer ends whose length can be learned from."""


class Scheduler(AsyncScheduler):  # type: ignore[misc]  # vLLM is not installed where types are checked
    """`--scheduler-cls soonest.engines.vllm.Scheduler`: order, admission and preemption by a policy.

    The waiting queue is `core.Queue`; its door stays closed while the head's predicted peak does not fit, and is always
    open when nothing runs; the running are sorted by `keep`, because vLLM preempts its last. All else is vLLM's.

    Raises:
        PolicyError: an unknown option, a policy that needs what vLLM cannot give, vLLM's own priority scheduling, or a
            vLLM that lacks what we build on.
    """

    def __init__(self, vllm_config: Any, *args: Any, **kwargs: Any) -> None:
        options = Options.read(vllm_config.additional_config)
        policy = _hosted(named(options.policy), vllm_config.scheduler_config.policy)
        if ".".join(version.split(".")[:2]) not in TESTED:
            log.warning("vLLM %s is untested with this soonest; tested: %s", version, ", ".join(TESTED))
        super().__init__(vllm_config, *args, **kwargs)
        check(self)
        self.board, self._page = shared_board(vllm_config.parallel_config.data_parallel_index)
        self.guard = Guard(policy, self.board)
        self.rules = self._rules(options.watermark)
        self.calls: dict[str, Call] = {}
        self.events = 0
        queue = Queue(self.guard, overdue_after=options.overdue_after, overdue_every=options.overdue_every)
        self.waiting = Waiting(self, queue)
        self.queue, self.clock = queue, time.monotonic
        self.lookahead = Lookahead(self, self.rules, holds=policy.holds)
        self._left = 0
        self._news = self._prefilling = self._unsorted = False
        numbers = policy.numbers
        self._sorts = not keeps_by_admission(policy)
        self._keep_moves = numbers is None or any(row.keep_live for row in numbers)
        log.info("policy %s, %s KV blocks of %d tokens", options.policy, self.rules.blocks, self.rules.block_size)

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        """One step: the running best first, then whom the door lets in."""
        self._news |= self._prefilling
        self._prefilling = bool(self._inflight_prefills)
        if self._sorts and (self._unsorted or self._keep_moves) and self._scarce():
            self._sort()
        self.waiting.step(self.clock())
        output = super().schedule(*args, **kwargs)
        started = len(output.scheduled_new_reqs) + len(output.scheduled_cached_reqs.resumed_req_ids)
        if started:
            self.board.add("admissions", started)
        return output

    def shutdown(self) -> None:
        """Take the metrics' page away too."""
        remove(self._page)
        super().shutdown()

    # What the waiting room asks and tells.

    def has_place(self) -> bool:
        """Whether a slot is free."""
        return bool(len(self.running) + self.num_waiting_for_streaming_input < self.max_num_active_reqs)

    def take_news(self) -> bool:
        """Whether something happened, since the order was last read, that may change who starts."""
        news, self._news = self._news, False
        return news

    def fits(self, call: Call) -> bool:
        """Whether the door is open for this one: always when nothing runs, and where vLLM alone decides."""
        if not self.running or self.rules.blocks is None:
            return True
        reserve = self.guard.reserve(call)
        if reserve is None or self.lookahead.fits(call, reserve):
            return True
        self.board.add("doors_closed")
        return False

    def fits_now(self, call: Call) -> bool:
        """Whether vLLM has blocks for all that this one must compute."""
        if self.rules.blocks is None:
            return True
        manager = self.kv_cache_manager
        free = manager.block_pool.get_num_free_blocks() - manager.watermark_blocks
        return bool(self.rules.blocks_for(call.source.num_tokens) <= free)

    def arrived(self, source: VllmRequest) -> None:
        """A request joins the queue; its arrival is when the engine hears of it, as in vLLM's own order.

        A session comes again for each turn; its last turn may have ended after a preemption, while it waits here.
        """
        if (before := self.calls.get(source.request_id)) is not None:
            if source.request_id in self.queue:
                return
            self.lookahead.leaves(before)
        request = Request(
            source.request_id,
            self.clock(),
            source.num_prompt_tokens,
            max_tokens=max(1, source.max_tokens),
            priority=source.priority,
            forecast=forecast_of(source, self.board),
        )
        call = self.calls[source.request_id] = Call(request, source=source)
        call.clamp(self.guard.first(request), self.rules.estimate_room(request.prompt_tokens))
        self._push(call)

    def left(self, call: Call) -> None:
        """A request leaves the queue, to start in this step or to be put back."""
        self._left += 1
        call.admitted = self._left
        self.lookahead.joins(call)
        if self._sorts:
            call.place = self._place(call)
        self._changed()
        self._unsorted = True

    def put_back(self, source: VllmRequest) -> None:
        """A request that left the queue could not start: back to its place."""
        call = self.calls[source.request_id]
        self.lookahead.leaves(call)
        self.queue.put_back(call)

    def evicted(self, source: VllmRequest) -> None:
        """A running request lost its memory: back to its place, with its tokens and the policy's next estimate."""
        call = self.calls[source.request_id]
        self.lookahead.leaves(call)
        call.generated = source.num_output_tokens
        call.clamp(self.guard.evicted(call), self.rules.estimate_room(call.request.prompt_tokens))
        call.attempts += 1
        self.board.add("evictions")
        self._push(call)

    def _push(self, call: Call) -> None:
        if call.request.forecast.known and not self.guard.ranks(call):
            call.request = _unknown(call.request)
        self.queue.push(call)
        self._changed()

    def _changed(self) -> None:
        self._news = True
        self.events += 1

    def _free_request(self, request: VllmRequest, *args: Any, **kwargs: Any) -> Any:
        call = self.calls.pop(request.request_id, None)
        if call is not None:
            self.lookahead.leaves(call)
            self._learn(call)
            self._changed()
        return super()._free_request(request, *args, **kwargs)

    def _update_request_as_session(self, session: VllmRequest, update: Any) -> None:
        super()._update_request_as_session(session, update)
        call = self.calls.get(session.request_id)
        if call is not None:  # its answer so far is part of its prompt now
            self.lookahead.leaves(call)
            call.request = replace(call.request, prompt_tokens=session.num_prompt_tokens)

    def _learn(self, call: Call) -> None:
        source, forecast = call.source, call.request.forecast
        if source.status.name not in ANSWERED or source.pooling_params is not None:
            self.queue.dropped(call)
            return
        tokens = source.num_output_tokens
        self.queue.finished(call, tokens)
        if forecast.known:
            side = "below" if tokens < forecast.low else "above" if tokens > forecast.high else "inside"
            self.board.add(f"answers_{side}")

    def _scarce(self) -> bool:
        """Whether tokens or memory can run short in this step, so that the order of the running matters."""
        if self._inflight_prefills or self.num_spec_tokens:
            return True
        growing = len(self.running) * len(self.kv_cache_config.kv_cache_groups)
        return bool(self.kv_cache_manager.block_pool.get_num_free_blocks() < growing)

    def _sort(self) -> None:
        """Best first; of equals the one that was first inserted."""
        self._unsorted = False
        for source in self.running if self._keep_moves else ():
            call = self.calls[source.request_id]
            call.generated = source.num_output_tokens
            call.place = self._place(call)
        self.running.sort(key=lambda source: self.calls[source.request_id].place)

    def _place(self, call: Call) -> tuple[float, int]:
        return -self.guard.keep(call), call.sequence

    def _rules(self, watermark: float | None) -> Rules:
        """Memory as this engine has it; the null block is never used."""
        pool, groups = self.kv_cache_manager.block_pool, len(self.kv_cache_config.kv_cache_groups)
        rules = Rules(
            blocks=max(1, (pool.num_gpu_blocks - 1) // groups) if groups else None,
            block_size=self.block_size,
            newest_held=False,
            restart=False,
            watermark=watermark or 0.0,
        )
        if watermark is not None:
            self.kv_cache_manager.watermark_blocks = rules.reserve_blocks * max(1, groups)
        return rules


def _hosted(policy: Policy, scheduling_policy: str) -> Policy:
    """This policy, if vLLM can host it."""
    if scheduling_policy != "fcfs":
        raise PolicyError(
            f"--scheduling-policy {scheduling_policy} is vLLM's own order and excludes ours: leave it out, or leave "
            "--scheduler-cls out"
        )
    missing = sorted(need.value for need in policy.needs - GIVES)
    if missing:
        raise PolicyError(
            f"policy {policy.name!r} needs {' and '.join(missing)}, which vLLM cannot give: a preempted request "
            "computes its tokens again there and runs to its end; simulate it, or take another"
        )
    return policy


def _unknown(request: Request) -> Request:
    return replace(request, forecast=Forecast.unknown(request.max_tokens))

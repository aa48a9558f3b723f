"""The peak of KV blocks to come, from what vLLM's requests hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vllm.v1.request import RequestStatus

from soonest.core import Load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm.v1.request import Request as VllmRequest

    from soonest.core import Entry, Rules
    from soonest.engines.vllm.scheduler import Scheduler
    from soonest.engines.vllm.waiting import Call


class Lookahead:
    """`core.Load`, kept in step with vLLM: one tick a step, and whoever does not grow by a token in it entered anew.

    Blocks that several requests share count once, and as held for good: an upper bound that is exact now. With several
    groups of KV layers each counts as full attention.
    """

    def __init__(self, scheduler: Scheduler, rules: Rules, *, holds: bool) -> None:
        self.scheduler, self.rules = scheduler, rules
        self.load = Load(rules, holds=holds)
        self.late = scheduler.vllm_config.max_concurrent_batches - 1
        self.managers = scheduler.kv_cache_manager.coordinator.single_type_managers
        self.shares = scheduler.kv_cache_manager.enable_caching and len(self.managers) == 1
        self.steady = not (scheduler.num_spec_tokens or scheduler.use_pp)
        self.fixed = 0
        self._beside = False
        self._marks: dict[int, tuple[int, Call]] = {}
        self._ends: dict[int, int] = {}
        self._most = 0
        self._step = scheduler.current_step
        self._events = -1
        self._sharing = False
        self._joined: dict[int, Call] = {}
        self._cut: set[str] = set()

    def fits(self, call: Call, reserve: int) -> bool:
        """Whether the peak stays within the cache if this request starts now and everyone runs to their reserve."""
        call.generated = call.source.num_output_tokens
        reserve += self.late
        pool, running = self.scheduler.kv_cache_manager.block_pool, self.scheduler.running
        limit = (self.rules.blocks or 0) - self.scheduler.kv_cache_manager.watermark_blocks
        held = self.rules.blocks or 0
        held -= pool.get_num_free_blocks() // len(self.managers)
        most = held + len(running) + self._most + self._end(call, reserve)
        if most <= limit and len(self._ends) >= len(running):
            return True  # all that is held and all that will be would fit at once
        self._follow()
        shared, owner, before = self._found(call) if self.shares else (0, None, 0)
        fixed = self.fixed
        if owner is not None:
            self._see(owner, shared)
            self.fixed += shared - before
        fits = self.load.fits(self._entry(call, shared), reserve, limit - self.fixed)
        if owner is not None:
            self._events = -1
            if not fits:
                self.fixed = fixed
                self._see(owner)
        return fits

    def joins(self, call: Call) -> None:
        """A request left the queue; what it holds shows later in this step."""
        self._joined[call.sequence] = call
        reserve = self.scheduler.guard.reserve(call)
        end = self._ends[call.sequence] = self._end(call, 0 if reserve is None else reserve + self.late)
        self._most += end

    def leaves(self, call: Call) -> None:
        """A request runs no more, or could not start after all."""
        self._most -= self._ends.pop(call.sequence, 0)
        self._joined.pop(call.sequence, None)
        self._forget(call)

    def _forget(self, call: Call) -> None:
        if self._marks.pop(call.sequence, None) is not None:
            self.load.remove(call)

    def _follow(self) -> None:
        scheduler, ticks = self.scheduler, self.scheduler.current_step - self._step
        running = scheduler.running
        prefilling = scheduler._inflight_prefills  # noqa: SLF001 - our base class
        joined, self._joined = self._joined.values(), {}
        if not ticks:
            for call in joined:
                if call.source in prefilling:
                    self._cut.add(call.request.id)
                if call.source.status == RequestStatus.RUNNING:
                    self._see(call.source)
            return
        self.load.advance(ticks)
        self._step = scheduler.current_step
        before, self._cut = self._cut, self._cut_short() if prefilling else set()
        anew = {call.request.id: call for call in joined}
        anew |= {name: scheduler.calls[name] for name in before | self._cut if name in scheduler.calls}
        for call in anew.values():
            if call.source.status == RequestStatus.RUNNING:
                self._see(call.source)
        changed = ticks > 1 or (self._sharing and self._events != scheduler.events)
        changed |= self._beside or not self.steady
        self._beside = self._others_hold()
        if changed or self._beside or len(running) != len(self._marks):
            self._see_all(running)

    def _see_all(self, running: Iterable[VllmRequest]) -> None:
        """Enter the running anew where they are not what was thought, and count what is held beside them."""
        scheduler = self.scheduler
        for _, call in list(self._marks.values()):
            if call.source.status != RequestStatus.RUNNING:  # a session that waits for its next turn
                self._forget(call)
        self._events, self._sharing = scheduler.events, False
        own = sum(self._see(request) for request in running)
        pool = scheduler.kv_cache_manager.block_pool
        held = pool.num_gpu_blocks - 1 - pool.get_num_free_blocks()
        others = -(-(held - own) // len(self.managers)) if self.shares or self._beside else 0
        self.fixed = max(0, others)

    def _others_hold(self) -> bool:
        """Whether blocks may be held by some who do not run: sessions between turns, transfers."""
        scheduler = self.scheduler
        return bool(scheduler.connector) or len(scheduler.requests) > len(scheduler.running) + len(scheduler.queue)

    def _see(self, request: VllmRequest, shared: int | None = None) -> int:
        """Enter a running request as it is now; the blocks that it holds alone, where that is tracked."""
        call, cut = self.scheduler.calls[request.request_id], request.request_id in self._cut
        call.generated = request.num_output_tokens + request.num_output_placeholders
        held = 0
        if self.shares or self._beside:
            held, found = self._blocks(request)
            shared = found if shared is None else shared
        shared = shared or 0
        self._sharing |= shared > 0
        mark = call.request.prompt_tokens + call.generated - self.load.tick - cut - shared * self.rules.block_size
        if self._marks.get(call.sequence, (None,))[0] != mark:
            self._forget(call)
            entry, reserve = self._entry(call, shared), self.scheduler.guard.reserve(call)
            self.load.add(entry, None if reserve is None else reserve + self.late)
            if cut:
                self.load.stall(entry)
            self._marks[call.sequence] = mark, call
        return held - shared

    def _end(self, entry: Entry, reserve: int) -> int:
        """Blocks held when the reserve is used up, at most."""
        tokens = entry.request.prompt_tokens + self.scheduler.num_lookahead_tokens
        return self.rules.blocks_for(tokens + max(reserve, entry.generated + 1))

    def _found(self, call: Call) -> tuple[int, VllmRequest | None, int]:
        """Stored blocks of a newcomer's prefix that the running hold; who holds some of them alone, and from where on.

        Once it joins, the owner shares them too. Blocks that nobody holds must be taken like any others.
        """
        blocks = self.scheduler.kv_cache_manager.get_computed_blocks(call.source)[0].blocks[0]
        counts = [block.ref_cnt for block in blocks]
        several, some = sum(n > 1 for n in counts), sum(n > 0 for n in counts)
        if several == some:
            return several, None, several
        for request in self.scheduler.running:
            own = self.managers[0].req_to_blocks.get(request.request_id, ())
            if len(own) > several and own[several] is blocks[several]:
                return some, request, several
        return several, None, several

    def _blocks(self, request: VllmRequest) -> tuple[int, int]:
        """Blocks held, and how many of them others hold too: a prefix, so the first that is not ends it."""
        blocks = self.managers[0].req_to_blocks.get(request.request_id, ())
        low, high = 0, len(blocks) if self.shares and blocks and blocks[0].ref_cnt > 1 else 0
        while low < high:
            middle = (low + high) // 2
            if blocks[middle].ref_cnt > 1:
                low = middle + 1
            else:
                high = middle
        return sum(len(m.req_to_blocks.get(request.request_id, ())) for m in self.managers), low

    def _entry(self, call: Call, shared: int) -> Entry:
        """The entry without what it shares, and with the tokens that speculation keeps room for."""
        tokens = self.scheduler.num_lookahead_tokens - shared * self.rules.block_size
        if not tokens:
            return call
        request = replace(call.request, prompt_tokens=call.request.prompt_tokens + tokens)
        return replace(call, request=request)

    def _cut_short(self) -> set[str]:
        """Who computes in this step without its last token, or nothing: vLLM's own pass over the running, again."""
        scheduler, cut = self.scheduler, set()
        budget = scheduler.max_num_scheduled_tokens
        most = scheduler.scheduler_config.long_prefill_token_threshold or budget
        for request in scheduler.running:
            need = request.num_tokens_with_spec + request.num_output_placeholders - request.num_computed_tokens
            grant = min(need, most, budget)
            budget -= grant
            if grant < need:
                cut.add(request.request_id)
        return cut

"""The library's scheduler with our queue for its waiting set, and our order of eviction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from transformers.generation.continuous_batching.offloading_manager import OffloadingManager
from transformers.generation.continuous_batching.requests import RequestStatus
from transformers.generation.continuous_batching.scheduler import FIFOScheduler

from soonest.engines.embedded.sampling import history

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers.generation.continuous_batching.requests import FutureRequestState, RequestState

    from soonest.core import Request
    from soonest.engines.embedded.room import Room

Batch = tuple["list[FutureRequestState] | None", bool, int, int]


class QueueScheduler(FIFOScheduler):  # type: ignore[misc]  # the library has no types
    """Admits whom the room shows, and evicts in the room's order before a batch, so that whatever runs fits.

    `lookup` gives the request behind an id, or `None` if nobody wants its answer any more; `ended` says after how many
    tokens an answer ended whose request is taken away, or `None` if it was cancelled; `started` is told how many tokens
    of its prompt were stored. All calls come from the generation thread.
    """

    def __init__(
        self,
        cache: Any,
        safety_margin: float | None,
        max_requests_per_batch: int,
        *,
        room: Room,
        lookup: Callable[[str], Request | None],
        ended: Callable[[str], int | None],
        started: Callable[[str, int], None],
    ) -> None:
        self.room, self.lookup, self.ended, self.started = room, lookup, ended, started
        self.victims: Victims | None = None
        self.evicting = False
        self.steps = 0
        super().__init__(cache, 0.0 if safety_margin is None else safety_margin, max_requests_per_batch)

    def add_waiting_request(self, state: RequestState) -> None:
        """A new request, or one that was just evicted."""
        if self.evicting:
            self.room.evicted(state.request_id)
        else:
            request = self.lookup(state.request_id)
            if request is None:
                return
            self.room.add(request)
        self.waiting_requests[state.request_id] = state

    def finish_request(self, request_id: str) -> None:
        """An answer ended, or an eviction begins."""
        state = self.active_requests.get(request_id)
        super().finish_request(request_id)
        if state is not None and not self.evicting:
            self.room.finished(request_id, len(history(state)[1]))

    def clear_cancelled_requests(self) -> list[RequestState]:
        """Forget whoever is not wanted any more; its place and its blocks are free at once."""
        with self._cancellation_lock:
            gone = list(self._requests_to_cancel)
        for request_id in gone:
            tokens = self.ended(request_id)
            if request_id not in self.room:
                continue
            if tokens is None:
                self.room.cancelled(request_id)
            else:
                self.room.finished(request_id, tokens)
        return list(super().clear_cancelled_requests())

    def schedule_batch(self, token_budget: int, cache_budget: int) -> Batch:
        """The next batch: whoever runs, decoding first, then whom the room lets in."""
        self.steps += 1
        self.block_new_requests = False  # the room's door does better
        for request_id, state in self.active_requests.items():
            self.room.generated(request_id, len(history(state)[1]))
        evicted = self._make_room(token_budget)
        offered = [] if evicted else self.room.candidates(time.monotonic())
        candidates = [*self._in_turn(), *(self.waiting_requests[i] for i in offered)]
        batch, failed, fast, queries, reads = self._process_candidates(candidates, token_budget, cache_budget, set())
        took = {i for i in offered if i in self.active_requests}
        self.room.took(took)
        for request_id in took:
            self.started(request_id, self.active_requests[request_id].position_offset)
        return (None, fast, 0, 0) if not batch and failed else (batch, fast, queries, reads)

    def _make_room(self, token_budget: int) -> bool:
        """Evict until everyone who runs can grow, the least worth keeping first; whether anybody was."""
        needs = self._grants(token_budget)
        if not needs or self._all_fit(needs) or self.victims is None:
            return False
        if self.cache.evict_cached_blocks() and self._all_fit(needs):
            return False
        before = len(self.active_requests)
        self.starved_requests = needs
        self.victims.offload_requests()
        return len(self.active_requests) < before

    def _in_turn(self) -> list[RequestState]:
        """Whoever runs, in the order in which a step's budget is spent on them."""
        running = [self.active_requests[i] for i in self.room.by_keep()]
        return sorted(running, key=lambda state: state.status != RequestStatus.DECODING)

    def _grants(self, token_budget: int) -> list[tuple[RequestState, int]]:
        """How many tokens of the step each of them gets; those at the end perhaps none."""
        grants = []
        for state in self._in_turn():
            decoding = state.status == RequestStatus.DECODING
            wanted = len(state.tokens_to_process if decoding else state.remaining_prefill_tokens)
            grants.append((state, min(wanted, token_budget)))
            token_budget -= grants[-1][1]
        return grants

    def _all_fit(self, needs: list[tuple[RequestState, int]]) -> bool:
        allocators = self.cache.cache_allocators.items()
        blocks = [{n: a.needs_new_blocks(s.request_id, s.current_len(), q) for n, a in allocators} for s, q in needs]
        return bool(self.cache.count_storable_requests(blocks) == len(needs))


class Victims(OffloadingManager):  # type: ignore[misc]  # the library has no types
    """Chooses victims by the policy's `keep`: the library takes the last of a list, so the list is put in order."""

    scheduler: QueueScheduler

    def offload_requests(self) -> bool:
        """Evict the least worth keeping until the others can grow."""
        scheduler = self.scheduler
        place = {request_id: i for i, request_id in enumerate(scheduler.room.by_keep())}
        scheduler.starved_requests.sort(key=lambda starved: place[starved[0].request_id])
        scheduler.evicting = True
        try:
            return bool(super().offload_requests())
        finally:
            scheduler.evicting = False

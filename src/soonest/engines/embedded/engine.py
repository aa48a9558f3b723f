"""Transformers' continuous batching with our queue as its scheduler, in a thread of its own."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from transformers import GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.model_runner import infer_max_single_request_tokens
from transformers.generation.continuous_batching.scheduler import SCHEDULER_MAPPING

from soonest.core import Forecast, Request, Rules
from soonest.engines.embedded.errors import EngineError, TooLongError
from soonest.engines.embedded.jobs import Router, Settings, Ticket
from soonest.engines.embedded.room import Room
from soonest.engines.embedded.sampling import Draw, Sampler
from soonest.engines.embedded.scheduler import QueueScheduler, Victims

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from soonest.core import Policy
    from soonest.engines.embedded.jobs import Job
    from soonest.engines.embedded.model import Model

_numbers = itertools.count()
MEMORY_A_SLOT = 1024
STOP_SECONDS = 30.0


class Engine:
    """A real engine in this process, ordered by a policy.

    `submit` gives the tokens of an answer as they come; leaving it early frees its place at the next step. Generation
    runs in a thread of its own, which sleeps while there is nothing to do.

    Raises:
        EngineError: the memory cannot hold one request, or the library did not take our scheduler.
        PolicyError: a policy that needs what this engine cannot give.
    """

    def __init__(self, model: Model, policy: Policy, settings: Settings | None = None) -> None:
        self.model, self.policy, self.settings = model, policy, settings or Settings()
        settings = self.settings
        blocks = self._blocks()
        self.rules = Rules(
            slots=settings.slots,
            token_budget=settings.token_budget,
            blocks=blocks,
            block_size=settings.block_size,
            newest_held=False,
            admit_after_evict=False,
            restart=False,
        )
        self.room = Room(policy, self.rules, overdue_after=settings.overdue_after, overdue_every=settings.overdue_every)
        self._tickets: dict[str, Ticket] = {}
        self._endings: dict[str, int | None] = {}
        self._sampler = Sampler()
        self._router = Router(self._tickets)
        self._manager = self._managed(blocks)
        alone = infer_max_single_request_tokens(self._scheduler.cache)  # sliding windows divide memory in another way
        self.max_length = min(model.max_length, self.rules.capacity, alone)

    def _blocks(self) -> int:
        settings = self.settings
        memory = settings.memory
        if memory is None:
            memory = max(self.model.max_length, settings.slots * min(self.model.max_length, MEMORY_A_SLOT))
        blocks = memory // settings.block_size
        if blocks < 1:
            raise EngineError(f"memory of {memory} tokens holds no block of {settings.block_size}: raise --memory")
        return blocks

    def _managed(self, blocks: int) -> Any:
        """The library's manager with our scheduler, sampler, router and order of eviction in their places."""
        settings, network = self.settings, self.model.network
        name = f"soonest-{next(_numbers)}"
        SCHEDULER_MAPPING[name] = partial(
            QueueScheduler,
            room=self.room,
            lookup=self._lookup,
            ended=lambda request_id: self._endings.pop(request_id, None),
            started=self._started,
        )
        try:
            manager = network.init_continuous_batching(
                GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0),
                ContinuousBatchingConfig(
                    page_size=settings.block_size,
                    num_blocks=blocks,
                    max_batch_tokens=settings.token_budget,
                    max_requests_per_batch=settings.slots,
                    max_blocks_per_request=0,
                    allow_block_sharing=settings.prefix_caching,
                    use_async_batching=False,
                    use_cuda_graph=False,
                    scheduler_type=name,
                    safety_margin=0.0,
                    auto_switch_to_flash=False,
                ),
            )
            manager.logit_processor = self._sampler.as_list()
            manager.output_router = self._router
            manager.warmup()  # makes the cache and the scheduler here, where an error can still be told
        finally:
            del SCHEDULER_MAPPING[name]
        manager._run_generation_loop = partial(self._run, manager._run_generation_loop)  # noqa: SLF001 - its thread's target
        processor = manager.batch_processor
        scheduler = processor.scheduler
        if not (isinstance(scheduler, QueueScheduler) and scheduler.room is self.room):
            raise EngineError("this version of Transformers did not take our scheduler: install transformers 5.23")
        scheduler.victims = processor.offloading_manager = Victims(
            cache=processor.cache,
            scheduler=scheduler,
            cpu_offload_space_gib=0.0,
            safety_threshold=0.8,
            compute_stream=processor.inputs_and_outputs.compute_stream,
            distributed_helper=processor.distributed_helper,
        )
        self._scheduler = scheduler
        return manager

    def start(self) -> None:
        """Start the generation thread."""
        self._manager.start()

    @property
    def alive(self) -> bool:
        """Whether the generation thread runs."""
        return bool(self._manager.is_running()) and self._manager.background_thread_status.fatal_error is None

    def stop(self) -> None:
        """End the generation thread at once; blocks for up to 30 seconds."""
        self._manager.stop(block=True, timeout=STOP_SECONDS, hard_stop=True)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self.room.queue)

    @property
    def running(self) -> int:
        """Requests that run."""
        return len(self.room.running)

    @property
    def usage(self) -> float:
        """Share of the KV cache that is held."""
        return 1.0 - float(self._scheduler.cache.compute_free_capacity())

    @property
    def steps(self) -> int:
        """Batches scheduled so far."""
        return self._scheduler.steps

    @property
    def tokens(self) -> int:
        """Tokens generated and delivered so far."""
        return self._router.tokens

    def check(self, prompt_tokens: int, max_tokens: int) -> None:
        """Whether such a request can ever run.

        Raises:
            TooLongError: no.
        """
        if prompt_tokens + max_tokens > self.max_length:
            raise TooLongError(
                f"this model holds at most {self.max_length} tokens; the prompt has {prompt_tokens} and "
                f"max_tokens is {max_tokens}"
            )

    @asynccontextmanager
    async def submit(self, job: Job) -> AsyncIterator[AsyncIterator[list[int]]]:
        """Queue a job; inside, iterate over its tokens, a list a step. Leaving frees its place, answered or not.

        Raises:
            TooLongError: it can never run.
            EngineError: the engine has died, or the request failed in it.
        """
        self.check(len(job.prompt), job.max_tokens)
        ticket = self._ticket(job)
        try:
            if not self.alive:
                raise EngineError("the generation thread has died")
            taken = self._manager.add_request(
                job.prompt,
                request_id=job.id,
                max_new_tokens=job.max_tokens,
                streaming=True,
                eos_token_id=list(job.ends) or -1,
            )
            if taken is None:
                raise EngineError("the generation thread is ending")
            yield self._tokens(ticket)
        finally:
            self._leave(ticket)

    def enough(self, job_id: str, tokens: int) -> None:
        """An answer is complete after so many tokens, though the model would go on: a stop string was met."""
        self._tickets[job_id].tokens = tokens

    def cached(self, job_id: str) -> int:
        """Prompt tokens of a job that were not computed anew."""
        return self._tickets[job_id].cached

    def _run(self, loop: Callable[[], None]) -> None:
        """The generation thread; however it ends, nobody is left waiting for it."""
        try:
            loop()
        finally:
            self._router.end(list(self._tickets.values()), "the generation thread has ended")

    def _ticket(self, job: Job) -> Ticket:
        if job.id in self._tickets:
            raise EngineError(f"request {job.id!r} is already here: give each its own id")
        request = Request(
            job.id,
            time.monotonic() if job.arrival is None else job.arrival,
            len(job.prompt),
            max_tokens=job.max_tokens,
            priority=job.priority,
            tenant=job.tenant,
            model=self.model.name,
            forecast=job.forecast or Forecast.unknown(job.max_tokens),
        )
        ticket = Ticket(job, request, asyncio.get_running_loop())
        self._tickets[job.id] = ticket
        self._sampler.draws[job.id] = Draw(job.sampling, frozenset(job.ends or self.model.ends))
        return ticket

    def _lookup(self, request_id: str) -> Request | None:
        ticket = self._tickets.get(request_id)
        return None if ticket is None else ticket.request

    def _started(self, request_id: str, cached: int) -> None:
        if (ticket := self._tickets.get(request_id)) is not None:
            ticket.cached = cached

    async def _tokens(self, ticket: Ticket) -> AsyncIterator[list[int]]:
        while not ticket.ended:
            tokens, error, ticket.ended = await ticket.news.get()
            if error is not None:
                raise EngineError(f"the engine failed this request: {error}")
            if tokens:
                yield tokens

    def _leave(self, ticket: Ticket) -> None:
        request_id = ticket.job.id
        del self._tickets[request_id]
        del self._sampler.draws[request_id]
        if not ticket.ended:
            self._endings[request_id] = ticket.tokens
            self._manager.cancel_request(request_id)

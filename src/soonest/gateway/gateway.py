"""One gateway: its queue, its engines, and everything that lives as long as it does."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from soonest.core.policy import reserves_estimate
from soonest.gateway.access import KeysError
from soonest.gateway.backend import Backend
from soonest.gateway.notes import note
from soonest.gateway.observe.series import OTHER
from soonest.gateway.queueing import Dispatcher, Forecasting, PromptTokens, Turns
from soonest.gateway.settings import check
from soonest.gateway.ui import Live
from soonest.gateway.upstream import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from soonest.core import Policy, Request
    from soonest.gateway.access import Access
    from soonest.gateway.journal import Journal
    from soonest.gateway.journal.savings import Savings
    from soonest.gateway.life import Life
    from soonest.gateway.observe import Metrics, RequestLog, Series, Traces
    from soonest.gateway.queueing import Ticket
    from soonest.gateway.settings import Settings
    from soonest.gateway.upstream import Client
    from soonest.gateway.wire import Failure
    from soonest.predict import Predictor

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at an engine's metrics."""
SWEEP_EVERY: Final = 1.0
NO_ANSWER: Final = 502
log = logging.getLogger("soonest.gateway")


class Gateway:
    """What all requests share.

    Raises:
        PolicyError: the policy needs what a gateway cannot give, or what the mode cannot.
    """

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        client: Client,
        access: Access,
        metrics: Metrics,
        lines: RequestLog,
        *,
        predictor: Predictor | None = None,
        journal: Journal | None = None,
        traces: Traces | None = None,
        savings: Savings | None = None,
        restarts: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        self.settings, self.policy, self.access = settings, policy, access
        self.loop = asyncio.get_running_loop()
        self.now: Callable[[], float] = time.monotonic  # uvloop's own clock counts whole milliseconds
        self.metrics, self.lines, self.journal, self.traces, self.savings = metrics, lines, journal, traces, savings
        self.restarts = restarts
        self.live = Live(self) if settings.ui else None
        check(settings, policy)
        gate = settings.mode == "gate"
        learns = gate and settings.in_flight is None
        self.client = client
        engines = [Engine(url, client, key=access.engine_key or "", clock=self.now) for url in settings.engines]
        self._reserves = gate and reserves_estimate(policy)
        made = (Backend(e, settings.in_flight, learns=learns, reserves=self._reserves) for e in engines)
        self.backends = {backend.name: backend for backend in made}
        self.dispatcher = Dispatcher(
            policy,
            [b.place for b in self.backends.values()],
            most_waiting=settings.most_waiting,
            overdue_after=settings.overdue_after,
            overdue_every=settings.overdue_every,
            weights=access.weights,
        )
        self.turns = Turns(self.dispatcher, self.loop, self.now)
        self.forecasting = Forecasting(predictor, settings.forecast_budget, log)
        self.counting = PromptTokens()
        self.draining = False
        self.held_bytes = 0
        self._served: set[str] = set()
        self.lives: set[Life] = set()
        self._ids = itertools.count()
        self._prefix = secrets.token_hex(6)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Look at every engine once, then keep looking."""
        await self.client.open()
        await asyncio.gather(*(self._look(backend) for backend in self.backends.values()))
        self._note()
        for backend in self.backends.values():
            dialect, learns = backend.engine.dialect, backend.in_flight is not None
            if learns and backend.place.up and not dialect.metrics and dialect.at_once is None:
                log.warning(
                    "engine %s tells no metrics: at most %d requests are in flight there; give --in-flight",
                    backend.name,
                    backend.place.limit,
                )
        self._tasks = [asyncio.create_task(self._watch(backend)) for backend in self.backends.values()]
        self._tasks.append(asyncio.create_task(self._sweep()))
        if self.savings is not None:
            self._tasks.append(asyncio.create_task(self.savings.run()))

    def _note(self) -> None:
        if self.journal is not None:
            note(self.journal, self)

    async def stop(self) -> None:
        """Let go of the engines, the predictor and the journal; no request may live any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.lines.end()
        self.forecasting.close()
        await self.client.close()
        if self.journal is not None:
            await self.journal.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)

    async def drain(self) -> None:
        """No new requests; return once those that live have ended, or the time for it is over."""
        self.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_timeout):
                while self.lives:  # noqa: ASYNC110 - requests end in many ways
                    await asyncio.sleep(0.05)
        if self.live is not None:
            self.live.stream.end()

    @property
    def up(self) -> bool:
        """Whether any engine takes requests."""
        return any(backend.place.up for backend in self.backends.values())

    @property
    def retry_seconds(self) -> float:
        """When a client may try again after its engine failed."""
        return max(1.0, min(self.dispatcher.drain_seconds, 60.0))

    def new_id(self) -> str:
        """An id for a request whose client gave none."""
        return f"{self._prefix}-{next(self._ids):x}"

    def enter(self, request: Request, choices: int, *, streams: bool) -> Ticket:
        """A ticket: with a place where there is room for all who are here, so that they need no order.

        Else, and where memory decides too, those who come at the same time wait for their turn and are put in order.

        Raises:
            QueueFull: as many wait as may.
        """
        if not self._reserves and self._room_for_all(choices):
            ticket = self.dispatcher.pass_by(request, self.now(), choices, streams=streams)
            if ticket is not None:
                return ticket
        return self.dispatcher.enter(request, choices, streams=streams)

    def _room_for_all(self, choices: int) -> bool:
        here, room = len(self.lives), 0.0
        for backend in self.backends.values():
            place = backend.place
            here -= len(place.running)
            if place.up:
                room += math.inf if place.limit is None else place.limit - place.in_flight
        return room >= max(here, choices)

    def finished(self, ticket: Ticket, tokens: int, now: float) -> None:
        """An answer ended: its place is free."""
        self.dispatcher.finished(ticket, tokens, now)
        self.turns.wake()

    def dropped(self, ticket: Ticket) -> None:
        """A request ended without an answer."""
        self.turns.forget(ticket)
        self.dispatcher.dropped(ticket)
        self.turns.wake()

    def failed(self, backend: Backend) -> None:
        """An engine broke off an answer."""
        backend.engine.breaker.failed(self.now())
        backend.judge()

    def may_try_again(self, ticket: Ticket, backend: Backend, problem: Failure) -> bool:
        """Whether it makes sense to ask again: another engine, or the same, once, if it gave no answer at all."""
        backend.judge()
        others = any(
            b.place.up and b.name != backend.name and b.name not in ticket.failed for b in self.backends.values()
        )
        once_more = backend.place.up and problem.status == NO_ANSWER and backend.name not in ticket.failed
        return others or once_more  # a request that kills its engine is not to take it out alone

    def again(self, ticket: Ticket) -> None:
        """An attempt failed; it waits at its old place."""
        self.dispatcher.again(ticket)
        self.turns.wake()

    def reload(self) -> None:
        """Read the key file again; one that is wrong changes nothing."""
        try:
            self.access.reload(self.now())
        except KeysError as error:
            log.error("%s; the keys stay as they were", error)  # noqa: TRY400 - the message says all
        else:
            log.info("read the key file again")
            self._note()

    @property
    def tokenizes(self) -> bool:
        """Whether engines are asked how long a prompt is: where memory depends on it."""
        return self._reserves and self.settings.tokenize

    async def prompt_tokens(self, fields: Mapping[str, Any]) -> int | None:
        """Tokens of a prompt as an engine counts them, if one does within the time that a forecast may take."""
        end = self.now() + self.settings.forecast_budget
        for backend in self.backends.values():
            left = end - self.now()
            if backend.place.up and left > 0 and (counted := await backend.engine.tokenize(fields, left)) is not None:
                return counted
        return None

    def series(self, model: str) -> Series:
        """The metrics of a model."""
        return self.metrics.of(self.label(model))

    def label(self, model: str) -> str:
        """What metrics call a model: names that no engine serves share one, so that clients cannot invent labels."""
        served = self._served
        if not model and len(served) == 1:
            (model,) = served
        return model if not served or model in served else OTHER

    async def _watch(self, backend: Backend) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._look(backend)

    async def _look(self, backend: Backend) -> None:
        """Ask an engine how it is; then there may be room for somebody."""
        try:
            await backend.look(held_back=len(self.dispatcher.queue) > 0)
        except Exception:  # an engine that answers nonsense is looked at again
            log.exception("looking at engine %s failed", backend.name)
        self._served |= set(backend.engine.models)
        if backend.noteworthy:
            self._note()
        self.turns.wake()

    async def _sweep(self) -> None:
        """Tell the predictor, every so often, how far the running are, and the log what it left out."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self.lines.look()
            generated = {}
            for life in list(self.lives):
                if life.ticket is not None and life.ticket.place is not None:
                    generated[life.key] = life.ticket.entry.generated
            self.forecasting.running(generated)

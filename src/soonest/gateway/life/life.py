"""The life of one scheduled request: asked, it waits, runs, and is recorded."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from soonest.core import Outcome, Record
from soonest.gateway.intake import Gone, Refused, say, stopping
from soonest.gateway.journal.rows import row_of
from soonest.gateway.life.asked import Asked
from soonest.gateway.life.relay import Relay
from soonest.gateway.observe import Finished
from soonest.gateway.queueing import QueueFull
from soonest.gateway.wire import failure
from soonest.serving import LEAVING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.gateway.backend import Backend
    from soonest.gateway.gateway import Gateway
    from soonest.gateway.queueing import Place, Ticket
    from soonest.gateway.wire import Failure
    from soonest.serving import Connection

NAN: Final = math.nan
MOST_ATTEMPTS: Final = 3
log = logging.getLogger("soonest.gateway")


@dataclass(slots=True)
class Said:
    """What is known of an answer so far; counts are over all choices, 0 where nobody has told."""

    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    finish_reason: str = ""


UNSAID: Final = Said()


class Life(Asked):
    """One request to a scheduled path, as an ASGI call.

    It owns what the request holds, a caller's place, a place in the queue or at an engine, and gives each back exactly
    once, however the request ends.
    """

    ticket: Ticket | None = None
    backend: Backend | None = None
    said = UNSAID
    admitted = first_token = last_token = NAN
    outcome = Outcome.REJECTED
    status, begun, overtaken = 0, False, 0
    failed_at: tuple[str, ...] = ()
    _task: asyncio.Task[Any] | None = None
    _watching: asyncio.Task[None] | None = None
    _gone = False

    def __init__(self, gateway: Gateway, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        super().__init__(gateway, scope, receive, send)
        self._connection: Connection | None = scope["extensions"].get(LEAVING) if "extensions" in scope else None
        self._may_wait = gateway.settings.longest_wait

    async def run(self) -> None:
        """From the first byte to the last; never raises but for a cancellation from outside."""
        self._task = asyncio.current_task()
        try:
            await self.ask()
            await self._serve()
        except Refused as refused:
            self.series.rejected(refused.reason)
            await self._say(refused.answer)
        except Gone:
            self.outcome = Outcome.CANCELLED
        except Exception:
            log.exception("request %s failed", self.id)
            if not self.begun:
                await self._say(failure(500, "the gateway failed at this request"))
        except asyncio.CancelledError:
            if not self._gone:
                raise
            if self._task is not None:
                self._task.uncancel()
            self.outcome = Outcome.CANCELLED
        finally:
            self._end()

    async def _say(self, answer: Failure) -> None:
        """Tell the client why there is no answer; its place is free before, and it may leave now."""
        self.status = answer.status
        self._unwatch()
        self.unanswered()
        await say(self.send, answer, self.id)

    async def _serve(self) -> None:
        """Wait for a turn, run, and again elsewhere while nothing was said to the client."""
        gateway, request = self.gateway, self.request
        if not gateway.up:
            raise Refused(failure(503, "no engine answers", retry_after=gateway.retry_seconds), "no_engine")
        try:
            self.ticket = gateway.enter(request, self.choices, streams=self.streams)
        except QueueFull as full:
            raise Refused(failure(429, str(full), retry_after=full.retry_after), "queue_full") from None
        self.outcome = Outcome.FAILED
        self._watch()
        for attempt in range(1, MOST_ATTEMPTS + 1):
            place = self.ticket.place or await self._turn(self.ticket)
            backend = self.backend = gateway.backends[place.name]
            if math.isnan(self.admitted):
                self._admitted(self.ticket)
            self.said = Said()
            problem = await Relay(self, backend).run()
            if problem is None:
                return
            if attempt == MOST_ATTEMPTS or not gateway.may_try_again(self.ticket, backend, problem):
                raise Refused(problem, "engine_failed")
            self.failed_at += (backend.name,)
            self.series.retried()
            gateway.again(self.ticket)

    async def _turn(self, ticket: Ticket) -> Place:
        """Wait until the dispatcher names a place."""
        gateway = self.gateway
        timer = gateway.loop.call_later(self._may_wait, gateway.turns.give_up, ticket)
        began = gateway.now()
        try:
            starts = await gateway.turns.turn(ticket)
        finally:
            timer.cancel()
            self._may_wait = max(0.0, self._may_wait - (gateway.now() - began))
        if not starts or ticket.place is None:
            if gateway.draining:
                raise stopping()
            raise Refused(
                failure(504, "the request waited too long for its turn", retry_after=gateway.dispatcher.drain_seconds),
                "deadline",
            )
        return ticket.place

    def _admitted(self, ticket: Ticket) -> None:
        self.admitted, self.overtaken = ticket.started, ticket.overtaken
        self.series.admitted(self.admitted - self.arrival, self.overtaken)
        if self.trace is not None:
            self.trace.forecast(self.made.forecast)
            base, slope = self.gateway.dispatcher.rank(ticket)
            self.trace.admitted(self.admitted - self.arrival, base + slope * self.admitted)
        if self.gateway.journal is not None:
            self.gateway.journal.accepted(row_of(self), self.key)

    def _watch(self) -> None:
        """A client that goes away takes its request with it, at once."""
        if self._connection is not None:
            self._connection.tell(self.leave)
        else:  # another server than ours
            self._watching = asyncio.create_task(self._watch_client())

    async def _watch_client(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.leave()

    def over(self) -> None:
        """The client has its whole answer, and may ask again on the same connection."""
        self._unwatch()
        self.let_go()
        self.gateway.lives.discard(self)

    def _unwatch(self) -> None:
        """What the client does now changes nothing any more."""
        self._task = None
        if self._connection is not None:
            self._connection.tell(None)
            self._connection = None  # from now on it may tell another request
        elif self._watching is not None:
            self._watching.cancel()

    async def write(self, data: bytes, *, more: bool) -> None:
        """Send a part of the answer."""
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    def leave(self) -> None:
        """The client is gone, or as good as gone."""
        if self._task is not None and not self._gone and self.outcome is not Outcome.FINISHED:
            self._gone = True
            self._task.cancel()

    def tell(self) -> asyncio.Future[bool] | None:
        """The answer has ended: free its place, learn from it, record it. The journal's future, if it is strict."""
        gateway, ticket, said = self.gateway, self.ticket, self.said
        if ticket is None:
            return None
        self.ticket, self.outcome = None, Outcome.FINISHED
        now = gateway.now()
        if said.tokens:
            gateway.finished(ticket, said.tokens, now)
        else:
            gateway.dropped(ticket)
        if said.prompt_tokens:
            self.series.prompt_estimated(self.request.prompt_tokens, said.prompt_tokens)
            gateway.counting.learn(self.prompt, said.prompt_tokens)
        if said.tokens:
            cut = said.finish_reason == "length"
            gateway.forecasting.learn(self.prompt, round(said.tokens / self.choices), censored=cut)
        self._observe(now)
        return None if gateway.journal is None else gateway.journal.finished(row_of(self, now), self.key)

    def unanswered(self) -> None:
        """There is no answer, or no whole one: free its place, if it has one still, and record that."""
        gateway, ticket = self.gateway, self.ticket
        if ticket is None:
            return
        self.ticket = None
        gateway.dropped(ticket)
        now = gateway.now()
        if self.said.tokens:
            gateway.forecasting.learn(self.prompt, round(self.said.tokens / self.choices), censored=True)
        self._observe(now)
        if gateway.journal is not None and not math.isnan(self.admitted):
            gateway.journal.finished(row_of(self, now), self.key)

    def _observe(self, now: float) -> None:
        """Metrics, the log line and the span."""
        gateway, record, reason = self.gateway, self._record(now), self.said.finish_reason or None
        if not math.isnan(self.admitted):
            self.series.ended(record, reason, self.made.forecast if self.choices == 1 else None, self.status)
        if gateway.live is not None:
            gateway.live.ended(self, record, now)
        engine = self.backend.name if self.backend is not None else ""
        if gateway.lines.wants(self.id, failed=self.outcome is Outcome.FAILED):
            line = Finished.of(
                record,
                model=self.request.model,
                engine=engine,
                status=self.status,
                finish_reason=reason,
                forecast=self.made.forecast,
            )
            gateway.lines.write(line)
        if self.trace is not None:
            self.trace.end(record, finish_reason=reason, engine=engine)
            self.trace = None

    def _record(self, now: float) -> Record:
        return Record(
            id=self.id,
            arrival=self.arrival,
            admitted=self.admitted,
            first_token=self.first_token,
            finished=now if self.outcome is Outcome.FINISHED else NAN,
            prompt_tokens=self.said.prompt_tokens or self.request.prompt_tokens,
            output_tokens=self.said.tokens,
            tenant=self.request.tenant,
            outcome=self.outcome,
        )

    def _end(self) -> None:
        """Give everything back that is still held."""
        self._unwatch()
        self.let_go()
        self.unanswered()
        if self.trace is not None:
            self.trace.end(self._record(self.gateway.now()))

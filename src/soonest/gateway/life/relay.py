"""One attempt at an engine: the request sent with what must be added, the answer handed on as it comes."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from soonest.gateway.intake import Refused
from soonest.gateway.passing import NO_ANSWER, target
from soonest.gateway.upstream import BROKEN, BadHeader, EngineError, EngineTimeoutError, response_headers
from soonest.gateway.wire import Events, Failure, failure, in_stream, read_answer, splice

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from soonest.gateway.backend import Backend
    from soonest.gateway.life.life import Life
    from soonest.gateway.wire import Usage

OVERLOADED: Final = frozenset({502, 503})
"""What an engine, or something before it, says when it cannot answer now; another engine may."""
INCLUDE_USAGE: Final = ("stream_options", "include_usage")
TRACE_HEADERS: Final = frozenset({b"traceparent", b"tracestate"})
REST: Final = 1.0
"""Seconds in which the engine's body ends after its answer, or its connection is closed."""
log = logging.getLogger("soonest.gateway")
DROPPED: Final = frozenset({b"content-length", b"x-request-id"})


class Relay:
    """Sends one request to one engine and its answer to the client; what it hears goes into `life.said`."""

    def __init__(self, life: Life, backend: Backend) -> None:
        self.life, self.backend = life, backend
        self._asked_usage = False

    async def run(self) -> Failure | None:
        """`None` once the client was told something; else what to tell it if nobody else can answer."""
        life, engine = self.life, self.backend.engine
        headers = life.gateway.access.forwarded(life.scope["headers"])
        if life.trace is not None:
            headers = [pair for pair in headers if pair[0] not in TRACE_HEADERS] + life.trace.upstream()
        try:
            response = await engine.request(
                "POST", target(life.scope), headers, self._body(), request_id=life.id, readable=True
            )
        except BadHeader as error:
            raise Refused(failure(400, str(error)), "header") from None
        except EngineError as error:
            log.warning("%s", error)  # its address is not for clients
            said = "the engine took too long to answer" if isinstance(error, EngineTimeoutError) else NO_ANSWER
            return failure(502, said, retry_after=life.gateway.retry_seconds)
        life.status = response.status
        try:
            if response.status in OVERLOADED:
                return Failure(response.status, self._headers(response), await response.read())
            if response.status == 200 and response.content_type == "text/event-stream":
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    await self._unread(response)
                    return None
                return await self._stream(response)
            return await self._whole(response)
        except BROKEN as error:
            life.gateway.failed(self.backend)
            return failure(502, broke_off(error), retry_after=life.gateway.retry_seconds)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    def _body(self) -> bytes:
        """The client's bytes, with the members that must be added."""
        life = self.life
        added: dict[str | tuple[str, ...], object] = {}
        options = life.fields.get("stream_options")
        asked = isinstance(options, dict) and options.get("include_usage") is True
        if life.streams and not asked:
            self._asked_usage = True
            added[INCLUDE_USAGE] = True
        added |= self.backend.additions(life)
        return splice(life.raw, added) if added else life.raw

    def _headers(self, response: ClientResponse) -> list[tuple[bytes, bytes]]:
        """The engine's headers and ours."""
        life = self.life
        headers = [pair for pair in response_headers(response) if pair[0] not in DROPPED]
        headers.append((b"x-request-id", life.id.encode()))
        if not math.isnan(life.admitted):
            headers.append((b"x-soonest-queue-ms", b"%.1f" % (1000 * (life.admitted - life.arrival))))
        if life.request is not None and (forecast := life.request.forecast).known:
            said = b"%d,%.1f,%d" % (forecast.low, forecast.expected, forecast.high)
            headers.append((b"x-soonest-forecast", said))
        return headers

    async def _stream(self, response: ClientResponse) -> Failure | None:
        """Hand events on in the bytes in which they came; what breaks off ends with an error in the stream.

        The last event goes out when the answer has been recorded: a client may leave as soon as it has it.
        """
        life = self.life
        events = Events(self._asked_usage)
        held, told, broken = b"", False, ""
        try:
            async for data in response.content.iter_any():
                out = events.feed(data)
                self._heard(events)
                if events.done or response.content.at_eof():
                    held = out
                    break
                if out:
                    if not told:
                        told = True
                        await self._start(response)
                    await life.write(out, more=True)
        except BROKEN as error:
            if not told:
                raise
            broken = broke_off(error)
        tail = held + (b"" if broken else events.end())  # half an event would swallow the error after it
        self._heard(events)
        if not told:
            await self._start(response)
        tail += await self._ended(events, broken)
        await life.write(tail, more=False)
        if not response.content.at_eof():
            life.over()
            with suppress(*BROKEN):  # what comes after the answer's end is none of it
                async with asyncio.timeout(REST):
                    await response.content.readany()  # so that its connection can be used again
        return None

    async def _ended(self, events: Events, broken: str) -> bytes:
        """What a stream's end means, and what is added to it: an error where it ended too soon."""
        if not broken:
            self._learned(events.usage, events.finish)
        if events.failed and not broken:
            self.life.unanswered()
            return b""  # the engine has told the client
        if broken or not (events.done or events.finish is not None):
            self.life.gateway.failed(self.backend)
            self.life.unanswered()
            return in_stream(broken or "the engine ended before its answer did", 502)
        self.backend.engine.breaker.succeeded()
        await self._tell()
        return b""

    async def _unread(self, response: ClientResponse) -> None:
        """Hand on a stream that is compressed although nobody asked for it: it teaches nothing.

        If it breaks off, so does what the client gets: nothing can be added to it.
        """
        await self._start(response)
        try:
            async for data in response.content.iter_any():
                await self.life.write(data, more=True)
        except BROKEN as error:
            log.warning("%s", broke_off(error))
            self.life.gateway.failed(self.backend)
            return
        self.backend.engine.breaker.succeeded()
        await self._tell()
        await self.life.write(b"", more=False)

    async def _whole(self, response: ClientResponse) -> Failure | None:
        """Hand an answer on in one piece; nothing was said yet if it breaks off."""
        life = self.life
        body = await response.read()
        if response.status < 500:
            self.backend.engine.breaker.succeeded()
        if response.status == 200:
            facts = read_answer(body)
            self._learned(facts.usage, facts.finish)
            await self._tell()
        else:
            life.unanswered()
        await self._start(response, (b"content-length", b"%d" % len(body)))
        await life.write(body, more=False)
        return None

    async def _start(self, response: ClientResponse, *more: tuple[bytes, bytes]) -> None:
        life = self.life
        life.begun = True
        headers = [*self._headers(response), *more]
        await life.send({"type": "http.response.start", "status": response.status, "headers": headers})

    def _heard(self, events: Events) -> None:
        """Count the events that came, each a token, and how long they took."""
        life = self.life
        came = events.chunks - life.said.tokens
        if came <= 0:
            return
        now = life.gateway.now()
        if not life.said.tokens:
            life.first_token = now
            life.series.first_token(now - life.arrival)
        else:
            life.series.gap(now - life.last_token, came)
        life.said.tokens, life.last_token = events.chunks, now
        if life.ticket is not None:
            life.ticket.entry.generated = events.chunks // life.choices

    def _learned(self, usage: Usage | None, finish: str | None) -> None:
        """What the engine itself counted goes before what was seen."""
        said = self.life.said
        said.finish_reason = finish or ""
        if usage is not None:
            said.tokens, said.prompt_tokens = usage.completion_tokens, usage.prompt_tokens
            said.cached_tokens = usage.cached_tokens or 0

    async def _tell(self) -> None:
        """The answer is over; in strict mode, wait until its row is committed."""
        committed = self.life.tell()
        if committed is not None:
            await committed


def broke_off(error: BaseException) -> str:
    """What a client is told of an engine that stopped in the middle of an answer."""
    return f"the engine broke off its answer: {type(error).__name__}"

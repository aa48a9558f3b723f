"""Everything that is not scheduled goes to an engine as it came."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from soonest.gateway.intake import Gone, Refused, hold, let_in, read_body, request_id, say
from soonest.gateway.upstream import BROKEN, BadHeader, EngineError, response_headers
from soonest.gateway.wire import failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.gateway.backend import Backend
    from soonest.gateway.gateway import Gateway


NO_ANSWER: Final = "the engine gave no answer"
log = logging.getLogger("soonest.gateway")


class Passing:
    """An ASGI application that hands requests and answers on, without queueing."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """One request."""
        gateway, caller, name = self.gateway, None, request_id(scope) or self.gateway.new_id()
        held = 0
        try:
            caller = let_in(gateway, scope, gateway.now())
            body = await read_body(gateway, scope, receive)
            held = hold(gateway, len(body))
            backend = self._backend()
            passing = asyncio.create_task(self._pass(backend, scope, body, name, send))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait((passing, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                passing.cancel()  # nothing, if it has ended
            with suppress(asyncio.CancelledError):
                await passing
        except Refused as refused:
            gateway.series("").rejected(refused.reason)
            await say(send, refused.answer, name)
        except Gone:
            pass
        finally:
            gateway.held_bytes -= held
            if caller is not None:
                gateway.access.leave(caller)

    def _backend(self) -> Backend:
        """The engine with the least to do of those that answer."""
        gateway = self.gateway
        up = [backend for backend in gateway.backends.values() if backend.place.up]
        if not up:
            raise Refused(failure(503, "no engine answers", retry_after=gateway.retry_seconds), "no_engine")
        return min(up, key=lambda backend: backend.place.in_flight)

    async def _pass(self, backend: Backend, scope: Mapping[str, Any], body: bytes, name: str, send: Any) -> None:
        gateway, engine = self.gateway, backend.engine
        headers = gateway.access.forwarded(scope["headers"])
        try:
            response = await engine.request(
                scope["method"], target(scope), headers, body, request_id=name, judged=False
            )
            try:
                said = [pair for pair in response_headers(response) if pair[0] != b"x-request-id"]
                said.append((b"x-request-id", name.encode()))
                await send({"type": "http.response.start", "status": response.status, "headers": said})
                async for data in response.content.iter_any():
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            finally:
                response.close()
        except BadHeader as error:
            raise Refused(failure(400, str(error)), "header") from None
        except EngineError as error:
            log.warning("%s", error)
            raise Refused(failure(502, NO_ANSWER, retry_after=gateway.retry_seconds), "engine_failed") from None
        except BROKEN:
            return  # the client sees that its answer is not whole
        if response.status < 500:
            engine.breaker.succeeded()
        await send({"type": "http.response.body", "body": b""})


def target(scope: Mapping[str, Any]) -> str:
    """The path and query that were asked for, as they were spelled."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (raw + b"?" + query if query else raw).decode("latin-1")


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

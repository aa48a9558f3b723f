"""Bodies in, answers out, and a client that goes away, in plain ASGI."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from soonest.engines.server.errors import ApiError, bad

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from starlette.types import Receive, Scope, Send

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"


class GoneError(Exception):
    """The client has left."""


def header(scope: Scope, name: bytes) -> str | None:
    """A request header, if it is there."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def read(receive: Receive, most: int) -> dict[str, Any]:
    """A JSON object of at most `most` bytes.

    Raises:
        ApiError: it is larger, or no JSON object.
        GoneError: the client left before it was all there.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise ApiError(413, f"the body is larger than {most} bytes")
        parts.append(part)
        more = message.get("more_body", False)
    try:
        body = json.loads(b"".join(parts))
    except (ValueError, RecursionError) as error:  # bad UTF-8 is a ValueError too
        raise bad(f"the body is no JSON: {type(error).__name__}") from None
    if not isinstance(body, dict):
        raise bad("the body must be a JSON object")
    return body


class Reply:
    """The answer to one request: whole, or as events; the id of the request goes with it."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = request_id.encode("latin-1", "replace")
        self.begun = False

    async def whole(self, body: bytes, status: int = 200, kind: bytes = JSON) -> None:
        """All at once."""
        await self._start(status, kind, [(b"content-length", str(len(body)).encode())])
        await self._send({"type": "http.response.body", "body": body})

    async def error(self, error: ApiError) -> None:
        """An error: with its status, or as an event where the answer has begun."""
        if self.begun:
            await self._send(
                {
                    "type": "http.response.body",
                    "body": b"data: " + error.body + b"\n\ndata: [DONE]\n\n",
                    "more_body": False,
                }
            )
            return
        await self.whole(error.body, error.status)

    async def events(self, events: AsyncIterator[str]) -> None:
        """Server-sent events as they come; the headers go out with the first."""
        async for event in events:
            if not self.begun:
                await self._start(200, EVENTS, [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")])
            await self._send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await self._send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _start(self, status: int, kind: bytes, more: list[tuple[bytes, bytes]]) -> None:
        self.begun = True
        headers = [(b"content-type", kind), (b"x-request-id", self._id), *more]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


async def while_there(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, but only while the client is there."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            raise GoneError
        task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

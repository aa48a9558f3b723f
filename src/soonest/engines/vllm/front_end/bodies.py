"""The body of a request: read, and added to without touching the rest of its bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]


async def whole(receive: Receive) -> tuple[bytes, Receive]:
    """All of it, and a `receive` that gives it again; nothing of it where the client left meanwhile."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"", _first(message, receive)
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            body = b"".join(parts)
            return body, again(body, receive)


def again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that begins with this body."""
    return _first({"type": "http.request", "body": body, "more_body": False}, receive)


def read(body: bytes) -> dict[str, Any] | None:
    """The object in it, if there is one and more can be added as UTF-8; vLLM says what is wrong with any other."""
    if not json.detect_encoding(body).startswith("utf-8"):
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def added(body: bytes, members: Mapping[str, object]) -> bytes:
    """The object's bytes with members at its end, where vLLM's reader takes them for those of the same name before."""
    end = body.rindex(b"}")
    comma = b"" if body[:end].rstrip().endswith(b"{") else b","
    return body[:end] + comma + json.dumps(members)[1:-1].encode() + body[end:]


def sized(scope: Message, length: int) -> Message:
    """The request with another length of body."""
    others = [(k, v) for k, v in scope["headers"] if k not in {b"content-length", b"transfer-encoding"}]
    return {**scope, "headers": [*others, (b"content-length", str(length).encode())]}


def _first(message: Message, receive: Receive) -> Receive:
    left = [message]

    async def once_more() -> Message:
        return left.pop() if left else await receive()

    return once_more

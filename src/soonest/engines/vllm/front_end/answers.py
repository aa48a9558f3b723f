"""The length of an answer, read off as it passes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]

MOST_BYTES = 1 << 24
CUT = b'"finish_reason":"length"'
"""It cannot stand inside a text, where quotes are escaped."""


class Answer:
    """Passes a response on, and knows its tokens at the end: `None` where it did not end well.

    `drop_usage`: the event that carries a stream's usage is not passed on, because nobody asked for it.
    """

    def __init__(self, send: Callable[[Message], Awaitable[None]], *, drop_usage: bool) -> None:
        self.tokens: int | None = None
        self.censored = False
        self._send, self._drop = send, drop_usage
        self._stream = self._good = False
        self._left = b""

    async def send(self, message: Message) -> None:
        """One message of the response."""
        if message["type"] == "http.response.start":
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            self._good = message["status"] == 200
            self._stream = kind.startswith(b"text/event-stream")
        elif message["type"] == "http.response.body" and self._good:
            data, last = message.get("body", b""), not message.get("more_body")
            if self._stream:
                message = {**message, "body": self._events(data, last=last)}
            else:
                self._whole(data, last=last)
        await self._send(message)

    def _whole(self, data: bytes, *, last: bool) -> None:
        self._left += data
        if len(self._left) > MOST_BYTES:
            self._good, self._left = False, b""
        elif last:
            self._usage(self._left)
            self.censored = CUT in self._left

    def _events(self, data: bytes, *, last: bool) -> bytes:
        """Whole events alone, without the usage where it is dropped."""
        text = self._left + data
        events = text.split(b"\n\n")
        self._left = b"" if last else events.pop()
        kept = []
        for event in events:
            if b'"usage":{' in event and b'"choices":[]' in event:
                self._usage(event.removeprefix(b"data: "))
                if self._drop:
                    continue
            self.censored |= CUT in event
            kept.append(event)
        return b"\n\n".join(kept) if last else b"".join(event + b"\n\n" for event in kept)

    def _usage(self, text: bytes) -> None:
        try:
            tokens = json.loads(text)["usage"]["completion_tokens"]
        except (ValueError, KeyError, TypeError):
            return
        self.tokens = tokens if isinstance(tokens, int) else None

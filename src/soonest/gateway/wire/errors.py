"""Errors of our own, in the words of OpenAI's API; an engine's own pass through untouched."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import orjson

KINDS: Final = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    408: "RequestTimeoutError",
    413: "RequestTooLargeError",
    429: "RateLimitError",
    500: "InternalServerError",
    502: "BadGatewayError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
}


class Failure(NamedTuple):
    """An answer that says why there is none: status, headers as ASGI has them, body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def failure(status: int, message: str, *, retry_after: float | None = None, param: str | None = None) -> Failure:
    """An error in vLLM's nested form; `retry_after` is in seconds, told in whole ones (at least 1) and in ms."""
    body = _body(message, KINDS[status], param, status)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if retry_after is not None:
        whole = max(1, math.ceil(retry_after))
        headers += [(b"retry-after", b"%d" % whole), (b"retry-after-ms", b"%d" % max(1, math.ceil(retry_after * 1000)))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Failure(status, headers, body)


def in_stream(message: str, status: int = 500) -> bytes:
    """An error as the last event of a stream that has begun; the official client raises it."""
    return b"data: " + _body(message, KINDS[status], None, status) + b"\n\n"


def _body(message: str, kind: str, param: str | None, code: int) -> bytes:
    said = message.encode("utf-8", "replace").decode()
    return orjson.dumps({"error": {"message": said, "type": kind, "param": param, "code": code}})

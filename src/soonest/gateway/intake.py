"""What every request goes through first: who sends it, and its whole body within limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from soonest.core import Forecast
from soonest.gateway.access import Denied, TooMany
from soonest.gateway.queueing.dispatcher import MOST_CHOICES
from soonest.gateway.wire import Failure, failure
from soonest.serving import LEAVING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.gateway.access import Caller
    from soonest.gateway.gateway import Gateway
    from soonest.serving import Connection

LONGEST_ID: Final = 128
LARGEST_PRIORITY: Final = 1 << 31
MOST_HELD: Final = 1 << 30
"""Bytes of bodies that come, wait or run, all together."""
HINT: Final = "soonest_forecast"
HINT_FIELDS: Final = ("vllm_xargs", "custom_params")


class Refused(Exception):  # noqa: N818 - said to a client, no fault of ours
    """The gateway answers with an error of its own; `reason` is a word for the metric."""

    def __init__(self, answer: Failure, reason: str) -> None:
        super().__init__(reason)
        self.answer, self.reason = answer, reason


class Gone(Exception):  # noqa: N818 - as Refused
    """The client went away before it had sent all."""


def request_id(scope: Mapping[str, Any]) -> str:
    """The client's `X-Request-Id`, if it is fit to be one; else nothing."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            fine = 0 < len(value) <= LONGEST_ID and value.isascii() and value.decode("ascii").isprintable()
            return value.decode("ascii") if fine else ""
    return ""


def let_in(gateway: Gateway, scope: Mapping[str, Any], now: float) -> Caller:
    """Know the caller and count it in; it must leave once. Raises Refused."""
    if gateway.draining:
        raise stopping()
    try:
        caller = gateway.access.caller(scope["headers"], now)
        gateway.access.enter(caller, now)
    except Denied as error:
        raise Refused(failure(401, str(error)), "key") from None
    except TooMany as error:
        raise Refused(failure(429, str(error), retry_after=error.retry_after), error.reason) from None
    return caller


async def read_body(gateway: Gateway, scope: Mapping[str, Any], receive: Any) -> bytes:
    """The whole body, within the limits of size and time. Raises Refused, and Gone."""
    limit = gateway.settings.body_limit
    connection: Connection | None = scope["extensions"].get(LEAVING) if "extensions" in scope else None
    if connection is not None and connection.whole:
        message = await receive()
    else:
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length) > limit:
            raise too_large(limit)
        message = await _part(gateway, receive)
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise too_large(limit)
        return body
    parts, size = [body], hold(gateway, len(body))
    deadline = gateway.now() + gateway.settings.client_timeout
    try:
        while message.get("more_body", False) and size <= limit:
            message = await _part(gateway, receive, deadline - gateway.now())
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message.get("body", b""))
            size += hold(gateway, len(parts[-1]))
    finally:
        gateway.held_bytes -= size
    if size > limit:
        raise too_large(limit)
    return b"".join(parts)


def hold(gateway: Gateway, size: int) -> int:
    """Count so many bytes of a body, which whoever counts them gives back. Raises Refused where there are too many."""
    if gateway.held_bytes + size > MOST_HELD:
        raise Refused(failure(429, "the queue is full", retry_after=gateway.retry_seconds), "queue_bytes")
    gateway.held_bytes += size
    return size


def priority_of(fields: Mapping[str, Any]) -> int:
    """What the body asks for, lower first; 0 where it asks for nothing."""
    asked = fields.get("priority")
    return max(-LARGEST_PRIORITY, min(asked, LARGEST_PRIORITY)) if type(asked) is int else 0


def choices_of(fields: Mapping[str, Any]) -> int:
    """Answers that the engine makes: `n`, of each prompt if there are several."""
    asked, prompts = fields.get("n"), fields.get("prompt")
    n = min(asked, MOST_CHOICES) if type(asked) is int and asked >= 1 else 1
    several = isinstance(prompts, list) and prompts and isinstance(prompts[0], (str, list))
    return min(n * (len(prompts) if several and prompts else 1), MOST_CHOICES)


def token_ids_of(fields: Mapping[str, Any]) -> int | None:
    """How many tokens a prompt has that came as token ids; nothing for any other."""
    ids = fields.get("prompt")
    return len(ids) if isinstance(ids, list) and ids and all(type(token) is int for token in ids) else None


def hint_of(fields: Mapping[str, Any]) -> Forecast | None:
    """The forecast that the client brings, if it does. Raises ForecastError for one that is none."""
    for name in HINT_FIELDS:
        field = fields.get(name)
        if isinstance(field, dict) and (hint := field.get(HINT)) is not None:
            return Forecast.told(hint)
    return None


def stopping() -> Refused:
    """For whoever comes, or still waits, when the gateway ends."""
    return Refused(failure(503, "the gateway is stopping", retry_after=1), "draining")


def too_large(limit: int) -> Refused:
    """For a body beyond the limit."""
    return Refused(failure(413, f"the body is longer than the {limit} bytes that this gateway takes"), "too_large")


async def say(send: Any, answer: Failure, request: str) -> None:
    """Send an error of ours, when nothing was said yet."""
    headers = [pair for pair in answer.headers if pair[0] != b"x-request-id"]
    headers.append((b"x-request-id", request.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _part(gateway: Gateway, receive: Any, seconds: float | None = None) -> dict[str, Any]:
    try:
        async with asyncio.timeout(gateway.settings.client_timeout if seconds is None else max(0.0, seconds)):
            message: dict[str, Any] = await receive()
    except TimeoutError:
        raise Refused(failure(408, "the body did not come in time"), "read_timeout") from None
    return message

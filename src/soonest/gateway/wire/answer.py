"""What a finished answer says about itself: its token counts, and why it ended."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeGuard

import orjson


class Usage(NamedTuple):
    """Tokens of a prompt and of its answer, all choices together; `cached_tokens` where the engine tells."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None


class Answer(NamedTuple):
    """Facts of an answer that was not streamed; what it does not tell is none."""

    usage: Usage | None
    finish: str | None


def read_answer(raw: bytes) -> Answer:
    """The facts in a body of `/v1/completions` or `/v1/chat/completions`; odd bodies tell nothing, none raises."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Answer(None, None)
    return Answer(usage_of(body), finish_of(choices_of(body))) if isinstance(body, dict) else Answer(None, None)


def choices_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The choices of an answer or of an event."""
    choices = body.get("choices")
    return [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []


def finish_of(choices: list[dict[str, Any]]) -> str | None:
    """Why it ended: `length` if any choice was cut, else the last that says so."""
    found = [word for c in choices if isinstance(word := c.get("finish_reason"), str)]
    return "length" if "length" in found else found[-1] if found else None


def usage_of(body: dict[str, Any]) -> Usage | None:
    """The token counts, where there are some that make sense."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, answered = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not _counts(prompt) or not _counts(answered):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(prompt, answered, cached if _counts(cached) else None)


def _counts(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0

"""What a call asks, as its predictor may see it before the answer exists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from soonest.core.request import DEFAULT_MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping

CHARACTERS_A_TOKEN = 4
MOST_PARTS = 1000  # of one message, and messages of one call; what comes before the last thousand is left out


def approximate_tokens(text: str) -> int:
    """Characters over four, rounded up."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks, what is said, and its length in tokens where the host has counted it."""

    role: str
    text: str = field(repr=False)
    tokens: int | None = None

    @property
    def length(self) -> int:
        """Tokens: as counted, or a quarter of the characters, rounded up."""
        return approximate_tokens(self.text) if self.tokens is None else self.tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request's text and circumstances: all turns so far, and what it says about itself.

    `id` names the request where forecasts must be matched with answers that come later; `conversation` is what calls of
    one dialogue share, so that none of them is learned from while another is tested. Counts are in tokens; `None` where
    nobody has counted. The text stays out of `repr`, and so out of logs.
    """

    messages: tuple[Message, ...]
    id: str = ""
    model: str = ""
    tenant: str = ""
    conversation: str = ""
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    min_tokens: int = 0
    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float | None = None

    @classmethod
    def of(cls, text: str, **facts: object) -> Self:
        """A single question; `facts` are the other fields."""
        return cls((Message("user", text),), **facts)  # type: ignore[arg-type]

    @classmethod
    def from_body(cls, body: Mapping[str, object], **facts: object) -> Self:
        """The body of a chat or completion request as OpenAI's API has it; what is odd in it is passed over.

        Never raises: a message that is none is empty, a limit that is no number is none.
        """
        turns = body.get("messages")
        if not isinstance(turns, list):
            turns = [{"role": "user", "content": body.get("prompt")}]
        limit = _count(body.get("max_completion_tokens")) or _count(body.get("max_tokens")) or DEFAULT_MAX_TOKENS
        warmth, model = body.get("temperature"), body.get("model")
        return cls(
            messages=tuple(map(_message, turns[-MOST_PARTS:])),
            **{  # type: ignore[arg-type]
                "model": model if isinstance(model, str) else "",
                "min_tokens": _count(body.get("min_tokens")),
                "max_tokens": limit,
                "temperature": warmth if isinstance(warmth, (int, float)) and 0 <= warmth <= 1e3 else None,
                **facts,
            },
        )

    @property
    def text(self) -> str:
        """What is asked now: the last turn."""
        return self.messages[-1].text if self.messages else ""

    @property
    def earlier(self) -> tuple[Message, ...]:
        """The turns before it."""
        return self.messages[:-1]

    @property
    def length(self) -> int:
        """Tokens of the whole prompt: as counted, or the sum over its turns."""
        return sum(m.length for m in self.messages) if self.prompt_tokens is None else self.prompt_tokens


def _message(turn: object) -> Message:
    if not isinstance(turn, dict):
        return Message("", _text(turn))
    role = turn.get("role")
    return Message(role if isinstance(role, str) else "", _text(turn.get("content")))


def _text(content: object) -> str:
    """Text of a message: a string, or the text parts of a list; images and sounds are left out."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") if isinstance(part, dict) else part for part in content[-MOST_PARTS:])
    return "\n".join(part for part in parts if isinstance(part, str))


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value <= DEFAULT_MAX_TOKENS else 0

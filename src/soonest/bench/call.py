"""What is asked of an endpoint, and how its API wants it said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import orjson

from soonest.bench.probe import root
from soonest.core import SoonestError
from soonest.core.errors import without_password

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.core import Prompt

PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
Api = Literal["chat", "completions"]


@dataclass(frozen=True, slots=True)
class Call:
    """A prompt and, where somebody has counted them, the `tokens` of its answer.

    `forced` answers have exactly so many tokens, whatever the model says: for lengths from a trace, whose text is
    nobody's.
    """

    prompt: Prompt
    tokens: int | None = None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where calls go, and what all of them say.

    `timeout` is in seconds, from departure to the last byte. `extra` members go into every body.

    Raises:
        SoonestError: the URL is none, or the timeout is not positive.
    """

    url: str
    model: str
    api: Api = "chat"
    timeout: float = 600.0
    temperature: float | None = 0.0
    extra: Mapping[str, object] = field(default_factory=dict)
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            shown = without_password(self.url)
            raise SoonestError(f"{shown!r} is no URL of an endpoint: give one such as http://127.0.0.1:8080")
        if not self.timeout > 0:
            raise SoonestError(f"a timeout is a number of seconds above 0, got {self.timeout:g}")

    @property
    def target(self) -> str:
        """The full URL; one that ends in /v1 is taken as OpenAI's base URL."""
        return root(self.url) + PATHS[self.api]

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    def body(self, call: Call, *, oracle: bool = False) -> bytes:
        """The call as JSON; an `oracle`'s call tells the host the length of its answer.

        Raises:
            SoonestError: it shall tell a length that nobody has measured.
        """
        prompt, tokens = call.prompt, call.tokens
        members: dict[str, object] = {"model": self.model}
        if self.api == "chat":
            members["messages"] = [{"role": m.role or "user", "content": m.text} for m in prompt.messages]
        else:
            members["prompt"] = "\n".join(m.text for m in prompt.messages)
        members |= {"max_tokens": prompt.max_tokens, "stream": True, "stream_options": {"include_usage": True}}
        if self.temperature is not None:
            members["temperature"] = self.temperature
        if call.forced:
            members |= {"max_tokens": tokens, "ignore_eos": True}
        members |= self.extra
        if oracle:
            if tokens is None:
                raise SoonestError("an oracle needs the lengths of the answers: measure them first")
            given = members.get("vllm_xargs")
            members["vllm_xargs"] = {**(given if isinstance(given, dict) else {}), "soonest_forecast": [tokens] * 3}
        return orjson.dumps(members)

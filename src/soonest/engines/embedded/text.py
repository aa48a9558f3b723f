"""From tokens to text as they come: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTEXT = 6
"""Prompt tokens before the answer that decide how its first token is written."""


class Text:
    """One answer's text. `feed` gives what is certain of it; `stopped` is the stop string that ended it.

    A character is held back until all of its bytes are there, and text that may be the beginning of a stop string until
    it is not. With `keep_stop` the stop string itself is part of the text.
    """

    def __init__(
        self,
        tokenizer: Any,
        prompt: Sequence[int],
        stops: Sequence[str] = (),
        *,
        keep_stop: bool = False,
        skip_special: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.stops = tuple(stop for stop in stops if stop)
        self.keep_stop = keep_stop
        self.skip_special = skip_special
        self.stopped: str | None = None
        self._held = ""
        self._stream = DecodeStream(ids=list(prompt[-CONTEXT:]), skip_special_tokens=skip_special)

    def feed(self, tokens: Sequence[int]) -> str:
        """The certain text after some more tokens; nothing once a stop string was met."""
        if self.stopped is not None:
            return ""
        new = "".join(self._step(token) for token in tokens)
        return self._certain(new) if new else ""

    def end(self) -> str:
        """What was held back, now that no token follows."""
        held, self._held = self._held, ""
        return "" if self.stopped is not None else held

    def _step(self, token: int) -> str:
        try:
            return self._stream.step(self.tokenizer, token) or ""
        except Exception:  # noqa: BLE001 - the library raises a bare Exception where bytes make no text
            self._stream = DecodeStream(skip_special_tokens=self.skip_special)
            return self._stream.step(self.tokenizer, token) or ""

    def _certain(self, new: str) -> str:
        if not self.stops:
            return new
        text = self._held + new
        met = [(at, stop) for stop in self.stops if (at := text.find(stop)) >= 0]
        if met:
            at, self.stopped = min(met, key=lambda found: (found[0], -len(found[1])))
            self._held = ""
            return text[: at + len(self.stopped)] if self.keep_stop else text[:at]
        held = max(_overlap(text, stop) for stop in self.stops)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` with which `stop` begins."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0

"""An answer as it is heard: every event at the time at which it came."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from soonest.core import Outcome, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

SAID = ("content", "reasoning_content", "reasoning", "tool_calls")
"""Members of a chat's delta that hold something a client keeps; a bare role is no token."""


@dataclass(slots=True)
class Answer:
    """What became of one call; times in seconds on the client's clock, `nan` where nothing happened.

    `due` is when it should have left, `start` when it left. `times` are those of the events with text, `last` that of
    the last event with a choice. Counts are the endpoint's own (`usage`), or `None`. `reason` says why it failed.
    """

    id: str
    due: float
    start: float
    prompt_tokens: int = 0
    times: list[float] = field(default_factory=list)
    last: float = math.nan
    counted: int | None = None
    queue_ms: float = math.nan
    finish: str | None = None
    reason: str | None = None
    outcome: Outcome = Outcome.FINISHED
    _rest: bytes = b""

    @property
    def done(self) -> bool:
        """Whether it came whole."""
        return self.outcome is Outcome.FINISHED

    @property
    def call(self) -> int:
        """Which of the run's calls it answers, from 0: calls are numbered in their ids."""
        return int(self.id.rpartition("-")[2])

    @property
    def output_tokens(self) -> int:
        """Tokens as the endpoint counts them, or events with text where it does not."""
        return len(self.times) if self.counted is None else self.counted

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes of the stream that came at `now`, cut anywhere."""
        rest = self._rest + data
        if b"\r" in rest:
            rest = rest.replace(b"\r\n", b"\n")
        *events, self._rest = rest.split(b"\n\n")
        for event in events:
            for line in event.split(b"\n"):
                if line.startswith(b"data:"):
                    self._said(line[5:].strip(), now)

    def whole(self, body: bytes, now: float) -> None:
        """Take an answer that came in one piece, because the endpoint does not stream."""
        self._said(body, now)

    def end(self) -> None:
        """The stream has ended: without a reason to finish it broke off."""
        if self.reason is None and self.finish is None:
            self.fail("broke off" if self.times else "no answer")

    def fail(self, reason: str, outcome: Outcome = Outcome.FAILED) -> None:
        """It failed; the first reason stays."""
        if self.reason is None:
            self.reason, self.outcome = reason, outcome

    def record(self) -> Record:
        """Arrival is its departure from here; it was admitted so long after as the endpoint says it queued."""
        if not self.done:
            return Record(
                self.id, self.start, math.nan, math.nan, math.nan, self.prompt_tokens, len(self.times),
                outcome=self.outcome,
            )  # fmt: skip
        first = self.times[0] if self.times else self.last
        admitted = min(self.start + self.queue_ms / 1e3, first) if self.queue_ms >= 0 else math.nan
        return Record(self.id, self.start, admitted, first, self.last, self.prompt_tokens, self.output_tokens)

    def _said(self, event: bytes, now: float) -> None:
        if event == b"[DONE]":
            return
        try:
            said = orjson.loads(event)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            self.fail("unreadable event")
            return
        if error := said.get("error"):
            kind = error.get("type") if isinstance(error, dict) else None
            self.fail(f"error in the stream: {kind or 'no type'}")
        if isinstance(usage := said.get("usage"), dict):
            self._used(usage)
        choices = said.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._chosen(choices[0], now)

    def _chosen(self, choice: Mapping[str, object], now: float) -> None:
        self.last = now
        delta = choice.get("delta") or choice.get("message")
        spoken = any(map(delta.get, SAID)) if isinstance(delta, dict) else bool(choice.get("text"))
        if spoken:
            self.times.append(now)
        if isinstance(finish := choice.get("finish_reason"), str):
            self.finish = finish

    def _used(self, usage: Mapping[str, object]) -> None:
        prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(prompt, int) and prompt > 0:
            self.prompt_tokens = prompt
        if isinstance(output, int):
            self.counted = output

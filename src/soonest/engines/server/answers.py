"""Answers while they are made: pieces of text, and the words of OpenAI's API around them."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from soonest.engines.embedded import Engine, Job, Text
    from soonest.engines.server.asked import Asked


@dataclass(frozen=True, slots=True)
class Piece:
    """A step of one choice: its new text and tokens, and why it ended if it did."""

    index: int
    text: str
    tokens: int
    finish: str | None = None
    stop: str | int | None = None


@dataclass(slots=True, eq=False)
class Choice:
    """One of the answers to a request: what is generated, and what came of it."""

    index: int
    job: Job
    text: Text
    said: list[str] = field(default_factory=list)
    tokens: int = 0
    cached: int = 0
    finish: str | None = None
    stop: str | int | None = None

    async def pieces(self, engine: Engine) -> AsyncGenerator[Piece]:
        """Generate; leaving early ends the generation."""
        async with engine.submit(self.job) as news:  # leaving it is what frees the place
            async for tokens in news:
                if not self.tokens:
                    self.cached = engine.cached(self.job.id)
                self.tokens += len(tokens)
                new = self._read(tokens)
                if self.text.stopped is not None:
                    engine.enough(self.job.id, self.tokens)
                self.said.append(new)
                yield Piece(self.index, new, len(tokens), self.finish, self.stop)
                if self.finish:
                    return

    def _read(self, tokens: list[int]) -> str:
        end = tokens[-1] if tokens[-1] in self.job.ends else None
        new = self.text.feed(tokens if end is None or self.text.keep_stop else tokens[:-1])
        if self.text.stopped is not None:
            self.finish, self.stop = "stop", self.text.stopped
        elif end is not None:
            self.finish, self.stop = "stop", end
            return new + self.text.end()
        elif self.tokens >= self.job.max_tokens:
            self.finish = "length"
            return new + self.text.end()
        return new


async def together(choices: Sequence[Choice], engine: Engine) -> AsyncGenerator[Piece]:
    """The pieces of all choices as they come."""
    if len(choices) == 1:
        async with aclosing(choices[0].pieces(engine)) as alone:
            async for piece in alone:
                yield piece
        return
    pieces: asyncio.Queue[Piece | Exception | None] = asyncio.Queue()
    tasks = [asyncio.create_task(_run(choice, engine, pieces)) for choice in choices]
    try:
        left = len(choices)
        while left:
            news = await pieces.get()
            if isinstance(news, Exception):
                raise news
            if news is None:
                left -= 1
            else:
                yield news
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(choice: Choice, engine: Engine, pieces: asyncio.Queue[Piece | Exception | None]) -> None:
    """One choice among others; its last word is `None`, or what went wrong."""
    try:
        async with aclosing(choice.pieces(engine)) as own:
            async for piece in own:
                pieces.put_nowait(piece)
    except Exception as error:  # noqa: BLE001 - raised where the pieces are read
        pieces.put_nowait(error)
    else:
        pieces.put_nowait(None)


def usage(asked: Asked, choices: Sequence[Choice]) -> dict[str, Any]:
    """Tokens of the request: every prompt once, every choice in full."""
    prompt = sum(len(ids) for ids in asked.prompts)
    answer = sum(choice.tokens for choice in choices)
    cached = sum(choice.cached for choice in choices[:: asked.choices])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


class Wording:
    """The objects of one answer: `chat` or not, streamed or whole."""

    def __init__(self, name: str, created: int, model: str, *, chat: bool) -> None:
        self.chat = chat
        self._facts = {"id": name, "created": created, "model": model}
        self._begun: set[int] = set()
        kind = "chat.completion.chunk" if chat else "text_completion"
        self._head = json.dumps({"id": name, "object": kind, "created": created, "model": model})[:-1]

    def events(self, piece: Piece, usage: dict[str, Any] | None = None) -> str:
        """The server-sent events of a piece: first, in a chat, who speaks."""
        tail = "" if usage is None else f', "usage": {json.dumps(usage)}'
        begin = ""
        if self.chat and piece.index not in self._begun:
            self._begun.add(piece.index)
            role = {"index": piece.index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            begin = f'data: {self._head}, "choices": [{json.dumps(role)}]{tail}}}\n\n'
        said = {"delta": {"content": piece.text}} if self.chat else {"text": piece.text}
        choice = {"index": piece.index, **said, "logprobs": None, "finish_reason": piece.finish}
        if piece.finish:
            choice["stop_reason"] = piece.stop
        return f'{begin}data: {self._head}, "choices": [{json.dumps(choice)}]{tail}}}\n\n'

    def last(self, usage: dict[str, Any]) -> str:
        """The event that has nothing but the usage."""
        return f'data: {self._head}, "choices": [], "usage": {json.dumps(usage)}}}\n\n'

    def whole(self, choices: Sequence[Choice], usage: dict[str, Any]) -> dict[str, Any]:
        """The answer in one object."""
        return {
            **self._facts,
            "object": "chat.completion" if self.chat else "text_completion",
            "choices": [self._choice(choice) for choice in choices],
            "usage": usage,
        }

    def _choice(self, choice: Choice) -> dict[str, Any]:
        text = "".join(choice.said)
        said = {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text}
        ended = {"logprobs": None, "finish_reason": choice.finish, "stop_reason": choice.stop}
        return {"index": choice.index, **said, **ended}

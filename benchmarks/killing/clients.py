"""Clients that ask again only where nothing was said to them yet, and know at the end what became of each request."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
from benchmarks.killing.stand import TENANTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHAT: Final = "/v1/chat/completions"
ATTEMPTS: Final = 40
PAUSE: Final = 0.25
"""Seconds before another attempt."""
LONGEST: Final = 120.0
"""Seconds after which an attempt that has not ended is given up: its request is lost."""
AGAIN: Final = frozenset({429, 500, 502, 503, 504})


class BrokenOffError(Exception):
    """An answer of which a part came, and then an error that the client saw."""


class LostError(Exception):
    """An answer of which the client cannot know that it is none: it ended well but is not what was asked for."""


@dataclass(slots=True)
class Said:
    """What came of one answer: events of its stream, and tokens in them."""

    events: int = 0
    tokens: int = 0


@dataclass
class Found:
    """What became of the requests: each is in exactly one of `answered`, `told` and `lost`.

    `longer` are answers with more in them than was asked for: begun again behind what had been said. `tokens` are
    (seconds, tenant, tokens) of each answer.
    """

    answered: int = 0
    told: int = 0
    lost: int = 0
    longer: int = 0
    attempts: int = 0
    why: Counter[str] = field(default_factory=Counter)
    tokens: list[tuple[float, str, int]] = field(default_factory=list)

    def shares(self, begin: float = 0.2, end: float = 0.8) -> dict[str, float]:
        """Each tenant's share of the tokens, of the answers of the middle part, while both had requests waiting."""
        ordered = sorted(self.tokens)
        part = ordered[int(begin * len(ordered)) : int(end * len(ordered))]
        whole = sum(count for _, _, count in part)
        return {name: sum(count for _, tenant, count in part if tenant == name) / whole for name in TENANTS}


@dataclass
class Crowd:
    """Clients in a closed loop, as many for each tenant; each request goes to a gateway drawn at random."""

    gateways: Sequence[str]
    requests: int
    clients: int
    seed: int
    longest: int = 19
    """Tokens of the longest answer; lengths are drawn evenly from 1 on."""
    found: Found = field(default_factory=Found)

    async def run(self) -> Found:
        """Until every request has ended in one way or another."""
        numbers = iter(range(self.requests))
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            tenants = [tenant for tenant in TENANTS for _ in range(self.clients)]
            await asyncio.gather(*(self._client(session, tenant, numbers) for tenant in tenants))
        return self.found

    async def _client(self, session: aiohttp.ClientSession, tenant: str, numbers: Iterator[int]) -> None:
        for number in numbers:
            draw = random.Random(f"{self.seed} {number}")  # noqa: S311 - a load, no secret
            tokens = draw.randint(1, self.longest)
            try:
                await self._ask(session, tenant, number, tokens, draw)
            except BrokenOffError as error:
                self.found.told += 1
                self.found.why[str(error)] += 1
            except (LostError, TimeoutError) as error:
                self.found.lost += 1
                self.found.why[f"lost: {error or type(error).__name__}"] += 1
            else:
                self.found.answered += 1
                self.found.tokens.append((time.monotonic(), tenant, tokens))

    async def _ask(
        self, session: aiohttp.ClientSession, tenant: str, number: int, tokens: int, draw: random.Random
    ) -> None:
        """One request to its end: again, at a gateway drawn anew, while nothing was said."""
        body = {
            "model": "fake",
            "messages": [{"role": "user", "content": f"{number} tokens={tokens}"}],
            "stream": number % 2 == 0,
        }
        headers = {"Authorization": f"Bearer {TENANTS[tenant]}", "X-Request-Id": f"{self.seed}-{number}"}
        why = ""
        for _ in range(ATTEMPTS):
            self.found.attempts += 1
            said = Said()
            try:
                async with (
                    asyncio.timeout(LONGEST),
                    session.post(draw.choice(self.gateways) + CHAT, json=body, headers=headers) as response,
                ):
                    if response.status == 200:
                        await self._heard(response, tokens, said, streams=bool(body["stream"]))
                        return
                    why = f"HTTP {response.status}"
                    if response.status not in AGAIN:
                        raise BrokenOffError(why)
            except (aiohttp.ClientError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                why = type(error).__name__
                if said.events:
                    raise BrokenOffError(f"broke off: {why}") from None
            await asyncio.sleep(PAUSE)
        raise BrokenOffError(f"gave up: {why}")

    async def _heard(self, response: aiohttp.ClientResponse, tokens: int, said: Said, *, streams: bool) -> None:
        """Read an answer whole; `said` counts what comes of its stream."""
        if not streams:
            whole = json.loads(await response.read())
            self._check(len(whole["choices"][0]["message"]["content"].split()), tokens)
            return
        done = 0
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            data = line[6:].strip()
            if data == b"[DONE]":
                done += 1
                continue
            event = json.loads(data)
            if "error" in event:
                if said.events:
                    raise BrokenOffError("an error in the stream")
                raise aiohttp.ClientPayloadError("an error and nothing before it")
            said.events += 1
            for choice in event["choices"]:
                said.tokens += bool(choice["delta"].get("content"))
        if done != 1:
            raise LostError(f"a stream that ended well, with {done} ends in it")
        self._check(said.tokens, tokens)

    def _check(self, came: int, tokens: int) -> None:
        self.found.longer += came > tokens
        if came != tokens:
            raise LostError(f"{came} tokens for {tokens}")


async def ended(task: asyncio.Task[object]) -> object:
    """What a task returns when it is cancelled; `None` if it returns nothing."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        return await task
    return None

"""One engine: asked through its breaker, looked at through its metrics."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson
from yarl import URL

from soonest.core.forecast import MAX_TOKENS
from soonest.gateway.upstream.breaker import Breaker
from soonest.gateway.upstream.client import BROKEN, EngineError
from soonest.gateway.upstream.dialects import OPENAI, Dialect, by_metrics, by_owner
from soonest.gateway.upstream.headers import request_headers
from soonest.gateway.upstream.metrics import EngineState, state_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping

    from aiohttp import ClientResponse

    from soonest.gateway.upstream.client import Client

UNABLE: Final = frozenset({502, 503, 504})  # answers of an engine, or of what stands before it, that cannot serve
OWN_TIMEOUT: Final = 2.0  # seconds, of our own small questions
MOST_URLS: Final = 64
TOKENIZED: Final = (
    "model",
    "prompt",
    "messages",
    "tools",
    "chat_template_kwargs",
    "add_generation_prompt",
    "chat_template",
)


class Engine:
    """An engine at a base URL, with or without `/v1` and a path before it.

    `key` is sent with our own questions (metrics, health, tokens); requests carry their clients' headers.
    """

    def __init__(
        self,
        url: str,
        client: Client,
        dialect: Dialect | None = None,
        *,
        key: str = "",
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = url.rstrip("/").removesuffix("/v1").rstrip("/")
        self.dialect = dialect or OPENAI
        self.breaker = breaker or Breaker()
        self.models: tuple[str, ...] = ()  # as it said when it was first asked
        self.last: EngineState | None = None
        self._known = dialect is not None
        self._client = client
        self._clock = clock
        self._own = [(b"authorization", b"Bearer " + key.encode())] if key else []
        self._urls: dict[str, URL] = {}

    def __repr__(self) -> str:
        return f"Engine({self.root!r}, {self.dialect.name})"

    @property
    def healthy(self) -> bool:
        """Whether requests may be sent to it."""
        return not self.breaker.open

    async def look(self) -> EngineState | None:
        """Its state, while it serves and tells it; while it is taken out, look at its health when a probe is due."""
        breaker = self.breaker
        if breaker.open:
            if breaker.wait(self._clock()) <= 0:
                well = await self.probe()
                breaker.probed(self._clock(), well=well)
                if well:  # what it is decides how much it is sent
                    await self.detect()
            return None
        await self.detect()
        state = await self.state()
        well = state is not None or await self.probe()
        breaker.looked(self._clock(), well=well)
        return state

    async def request(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes | AsyncIterable[bytes] | None = None,
        *,
        request_id: str = "",
        readable: bool = False,
        judged: bool = True,
    ) -> ClientResponse:
        """Send a client's request on; returns when the answer's headers are there, raises `EngineError` if none come.

        A request with a header that cannot be sent raises `BadHeader`.
        `path` is as the client wrote it, query and all. Whoever gets the response must `release` it at its end and
        `close` it before: closing ends the connection, and so the engine's work. `readable` asks for an answer that
        is not compressed. Once the whole answer came well, tell the breaker; unless `judged`, its status says nothing
        about the engine.
        """
        sent = request_headers(headers, request_id if self.dialect.request_ids else None, readable=readable)
        try:
            response = await self._client.send(method, self.url(path), sent, body)
        except EngineError:
            self.breaker.failed(self._clock())
            raise
        if judged and response.status in UNABLE:
            self.breaker.failed(self._clock())
        return response

    def url(self, path: str) -> URL:
        """Where a path is at this engine; no letter of it is changed."""
        found = self._urls.get(path)
        if found is None:
            found = URL(self.root + path, encoded=True)
            if "?" not in path and len(self._urls) < MOST_URLS:
                self._urls[path] = found
        return found

    async def probe(self) -> bool:
        """Whether its health path answers, if only that it wants to know who asks."""
        found = await self._fetch("GET", self.dialect.health)
        return found is not None and found[0] < 500

    async def state(self) -> EngineState | None:
        """Read its metrics and properties now; none if it has none or cannot be reached."""
        if not self.dialect.metrics:
            return None
        page = await self._ask("GET", "/metrics")
        slots = _member(await self._ask("GET", self.dialect.properties), "total_slots")
        told = slots if type(slots) is int and slots > 0 else None
        if page is None and told is None:
            return None
        state = state_of((page or b"").decode("utf-8", "replace"), self.dialect)
        self.last = state if told is None else replace(state, slots=told)
        return self.last

    async def tokenize(self, body: Mapping[str, Any], timeout: float = OWN_TIMEOUT) -> int | None:  # noqa: ASYNC109
        """Prompt tokens of a request's body as the engine counts them; none where it cannot say within `timeout`."""
        dialect, end = self.dialect, self._clock() + timeout
        asked = {name: body[name] for name in TOKENIZED if name in body}
        if not dialect.tokenize or not asked.keys() & {"prompt", "messages"}:
            return None
        if "messages" in asked and not dialect.tokenize_chat:
            prompt = _member(await self._ask("POST", dialect.template, asked, timeout), "prompt")
            asked = {"prompt": prompt}
        if not isinstance(asked.get("prompt", ""), str):
            return None
        if dialect.template:
            asked = {"content": asked["prompt"], "add_special": True}
        answer = await self._ask("POST", dialect.tokenize, asked, end - self._clock())
        count, tokens = _member(answer, "count"), _member(answer, "tokens")
        if type(count) is int and 0 <= count <= MAX_TOKENS:
            return count
        return len(tokens) if isinstance(tokens, list) else None

    async def detect(self) -> None:
        """Find out which kind it is, by its models' owner, then by its metrics; asked again while it is silent."""
        if self._known:
            return
        models = await self._fetch("GET", "/v1/models")
        listed = _member(models[1], "data") if models else None
        rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
        self.models = tuple(name for row in rows if isinstance(name := row.get("id"), str))
        first = rows[0] if rows else None
        owner = first.get("owned_by") if first else None
        found = by_owner(owner) if isinstance(owner, str) else None
        if found is None:
            page = await self._ask("GET", "/metrics")
            found = by_metrics(page.decode("utf-8", "replace")) if page else None
        self._known = found is not None or (models is not None and models[0] < 500)
        self.dialect = found or OPENAI

    async def _ask(self, method: str, path: str, body: object = None, timeout: float = OWN_TIMEOUT) -> bytes | None:  # noqa: ASYNC109
        """The page of an answer with status 200; none for any other, and for no answer."""
        found = await self._fetch(method, path, body, timeout)
        return found[1] if found and found[0] == 200 else None

    async def _fetch(
        self,
        method: str,
        path: str,
        body: object = None,
        timeout: float = OWN_TIMEOUT,  # noqa: ASYNC109 - one place for all our own questions
    ) -> tuple[int, bytes] | None:
        """A small question of our own: status and page, none if no answer came."""
        if not path:
            return None
        headers = request_headers([*self._own, (b"content-type", b"application/json")], readable=True)
        try:
            data = None if body is None else orjson.dumps(body)
            async with asyncio.timeout(timeout):
                response = await self._client.send(method, self.url(path), headers, data)
                async with response:
                    return response.status, await response.read()
        except (EngineError, orjson.JSONEncodeError, *BROKEN):
            return None


def _member(raw: bytes | None, name: str) -> Any:
    """A member of a JSON object; none if there is no such thing."""
    try:
        body = orjson.loads(raw or b"")
    except orjson.JSONDecodeError:
        return None
    return body.get(name) if isinstance(body, dict) else None

"""The OpenAI-compatible server of one embedded engine."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from contextlib import aclosing
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from soonest.engines.embedded import EngineError, Job, Text, TooLongError
from soonest.engines.server import asked, fields, metrics
from soonest.engines.server.answers import Choice, Wording, together, usage
from soonest.engines.server.errors import ApiError, bad, draining
from soonest.engines.server.wire import JSON, GoneError, Reply, header, read, while_there
from soonest.predict import Forecasting
from soonest.predict.forecasting import MOST_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from soonest.core import Forecast, Prompt
    from soonest.engines.embedded import Engine
    from soonest.engines.server.asked import Asked

    Handler = Callable[[dict[str, Any], "Reply", str], Awaitable[None]]

log = logging.getLogger("soonest.engine")
MOST_BYTES = 8 << 20
MOST_ID = 256
LAST_SECONDS = 1.0
"""For bodies that are still under way when the server is told to end."""


class Api:
    """What the server does for each path. While `draining` it takes nothing new; `busy` requests have not ended.

    A client has `patience` seconds to send a body.
    """

    def __init__(
        self,
        engine: Engine,
        forecasting: Forecasting | None = None,
        *,
        names: tuple[str, ...] = (),
        most_bytes: int = MOST_BYTES,
        patience: float = 60.0,
    ) -> None:
        self.engine = engine
        self.forecasting = forecasting or Forecasting(None)
        self.names = names or (engine.model.name,)
        self.most_bytes, self.patience = most_bytes, patience
        self.draining = False
        self.busy = 0
        self.served = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._reading: set[asyncio.Timeout] = set()
        self._created = int(time.time())

    def app(self) -> ASGIApp:
        """The ASGI application."""
        gets: dict[str, Callable[[], bytes]] = {
            "/health": self.health,
            "/version": lambda: json.dumps({"version": version("soonest")}).encode(),
            "/metrics": lambda: metrics.render(self.engine, self.served, self.forecasting.failures),
            "/v1/models": self.models,
        }
        posts: dict[str, Handler] = {
            "/v1/chat/completions": self.chat,
            "/v1/completions": self.complete,
            "/tokenize": self.tokenize,
            "/detokenize": self.detokenize,
        }
        return Starlette(
            routes=[
                *(Route(path, _Get(say, metrics.KIND if path == "/metrics" else JSON)) for path, say in gets.items()),
                *(Route(path, _Post(self, handler), methods=["POST"]) for path, handler in posts.items()),
            ],
            exception_handlers={HTTPException: _elsewhere},
        )

    def drain(self) -> None:
        """Take nothing new from now on."""
        self.draining = True
        soon = asyncio.get_running_loop().time() + LAST_SECONDS
        for waiting in self._reading:
            if not waiting.expired():
                waiting.reschedule(soon)

    async def read(self, receive: Receive) -> dict[str, Any]:
        """The body of a request, which must come in time.

        Raises:
            ApiError: it did not, or is none.
            GoneError: the client left.
        """
        try:
            async with asyncio.timeout(self.patience) as waiting:
                self._reading.add(waiting)
                try:
                    return await read(receive, self.most_bytes)
                finally:
                    self._reading.discard(waiting)
        except TimeoutError:
            if self.draining:
                raise draining() from None
            raise ApiError(408, f"the body did not come within {self.patience:g} s") from None

    def health(self) -> bytes:
        """Nothing, while the engine lives and takes requests."""
        if self.draining or not self.engine.alive:
            raise draining() if self.draining else ApiError(503, "the engine has died")
        return b""

    def models(self) -> bytes:
        """The one model, under each of its names."""
        facts = {"object": "model", "created": self._created, "owned_by": "soonest"}
        longest = {"max_model_len": self.engine.max_length}
        return json.dumps({"object": "list", "data": [{"id": n, **facts, **longest} for n in self.names]}).encode()

    async def chat(self, body: dict[str, Any], reply: Reply, name: str) -> None:
        """/v1/chat/completions."""
        asked.check_model(body, self.names)
        await self._answer(body, asked.chat(body, self.engine.model), reply, name, chat=True)

    async def complete(self, body: dict[str, Any], reply: Reply, name: str) -> None:
        """/v1/completions."""
        asked.check_model(body, self.names)
        await self._answer(body, asked.completion(body, self.engine.model), reply, name, chat=False)

    async def tokenize(self, body: dict[str, Any], reply: Reply, _name: str) -> None:
        """/tokenize: how a prompt or a conversation is cut."""
        ids = asked.tokens(body, self.engine.model)
        told = {"count": len(ids), "max_model_len": self.engine.max_length, "tokens": ids, "token_strs": None}
        await reply.whole(json.dumps(told).encode())

    async def detokenize(self, body: dict[str, Any], reply: Reply, _name: str) -> None:
        """/detokenize: the text of some tokens."""
        ids = fields.token_ids(body.get("tokens"), "tokens", self.engine.model.vocabulary)
        await reply.whole(json.dumps({"prompt": self.engine.model.tokenizer.decode(ids)}).encode())

    async def _answer(self, body: dict[str, Any], wish: Asked, reply: Reply, name: str, *, chat: bool) -> None:
        arrival = time.monotonic()
        seen = asked.prompts(body, [len(ids) for ids in wish.prompts], name)
        forecasts = [wish.hint] * len(seen) if wish.hint else await self._forecasts(seen)
        choices = [
            choice
            for i, (ids, forecast) in enumerate(zip(wish.prompts, forecasts, strict=True))
            for choice in self._choices(wish, ids, forecast, i * wish.choices, arrival)
        ]
        kind = "chatcmpl" if chat else "cmpl"
        words = Wording(f"{kind}-{name}", int(time.time()), self.names[0], chat=chat)
        try:
            if wish.stream:
                async with aclosing(self._stream(wish, choices, words)) as events:
                    await reply.events(events)
            else:
                async with aclosing(together(choices, self.engine)) as pieces:
                    async for _ in pieces:
                        pass
                await reply.whole(json.dumps(words.whole(choices, usage(wish, choices))).encode())
        finally:
            for choice in choices:
                if choice.finish is not None:
                    cut = choice.finish == "length"
                    self.forecasting.learn(seen[choice.index // wish.choices], choice.tokens, censored=cut)

    async def _forecasts(self, prompts: list[Prompt]) -> list[Forecast | None]:
        made = []
        for at in range(0, len(prompts), MOST_AT_ONCE):
            made += await asyncio.gather(*map(self.forecasting.ask, prompts[at : at + MOST_AT_ONCE]))
        return [one.forecast if one.forecast.known else None for one in made]

    def _choices(
        self, wish: Asked, ids: list[int], forecast: Forecast | None, first: int, arrival: float
    ) -> list[Choice]:
        limit = wish.limit(ids, self.engine.max_length)
        tokenizer = self.engine.model.tokenizer._tokenizer  # noqa: SLF001 - what DecodeStream takes
        made = []
        for i in range(wish.choices):
            text = Text(tokenizer, ids, wish.stops, keep_stop=wish.keep_stop, skip_special=wish.skip_special)
            job = Job(
                id=uuid.uuid4().hex,
                prompt=ids,
                max_tokens=limit,
                sampling=wish.of_choice(i),
                ends=wish.ends,
                forecast=forecast,
                arrival=arrival,
                priority=wish.priority,
            )
            made.append(Choice(first + i, job, text))
        return made

    async def _stream(self, wish: Asked, choices: list[Choice], words: Wording) -> AsyncGenerator[str]:
        async with aclosing(together(choices, self.engine)) as pieces:
            async for piece in pieces:
                yield words.events(piece, usage(wish, choices) if wish.running_usage else None)
        if wish.usage:
            yield words.last(usage(wish, choices))


class _Get:
    """A path that is read: it answers at once."""

    def __init__(self, say: Callable[[], bytes], kind: bytes) -> None:
        self.say, self.kind = say, kind

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        reply = Reply(send, header(scope, b"x-request-id") or uuid.uuid4().hex)
        try:
            await reply.whole(self.say(), kind=self.kind)
        except ApiError as error:
            await reply.error(error)


class _Post:
    """A path that does work: a body is read, checked and answered, while the client is there."""

    def __init__(self, api: Api, handler: Handler) -> None:
        self.api, self.handler = api, handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        api = self.api
        name = (header(scope, b"x-request-id") or uuid.uuid4().hex)[:MOST_ID]
        reply = Reply(send, name)
        api.busy += 1
        api.idle.clear()
        try:
            if api.draining:
                raise draining()
            body = await api.read(receive)
            if api.draining:
                raise draining()
            await while_there(receive, self._answered(body, reply, name))
        except ApiError as error:
            await reply.error(error)
        except GoneError:
            log.info("%s: the client left", name)
        finally:
            api.busy -= 1
            api.served += 1
            if not api.busy:
                api.idle.set()

    async def _answered(self, body: dict[str, Any], reply: Reply, name: str) -> None:
        try:
            await self.handler(body, reply, name)
        except ApiError as error:
            await reply.error(error)
        except TooLongError as error:
            await reply.error(bad(str(error)))
        except EngineError as error:
            log.error("%s: %s", name, error)  # noqa: TRY400 - the message says it
            await reply.error(ApiError(500, str(error)))


async def _elsewhere(request: Request, error: Exception) -> Response:
    """A path or method that is not there."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = f"{request.method} {request.url.path}"
    told = ApiError(status, f"there is no {what}; see /v1/models and /v1/chat/completions")

    name = request.headers.get("x-request-id") or uuid.uuid4().hex
    return Response(told.body, status, {"x-request-id": name}, media_type="application/json")

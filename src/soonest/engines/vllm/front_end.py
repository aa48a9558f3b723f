"""Forecasts in vLLM's front end, away from the scheduling loop: `--middleware soonest.engines.vllm.FrontEnd`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import CounterMetricFamily

from soonest.core import Prompt
from soonest.engines.vllm.answers import Answer
from soonest.engines.vllm.forecasts import FIELD
from soonest.engines.vllm.metrics import COUNTERS, boards_of
from soonest.engines.vllm.options import Options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from soonest.core import Forecast
    from soonest.predict import Predictor

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("vllm.soonest")
PATHS = ("/v1/chat/completions", "/v1/completions")
NAMES = count(1)


class FrontEnd:
    """ASGI middleware: each request leaves with a forecast, and each answer's length goes back to the predictor.

    The predictor works in a thread of its own. A request that brings a forecast keeps it; where the predictor fails, or
    knows nothing, it goes on without. A stream is asked for its usage, which only reaches those who asked for it.

    Raises:
        PredictorError: the folder holds no predictor; vLLM does not start.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app
        self.predictor: Predictor | None = None
        self._thread = ThreadPoolExecutor(1, "soonest")
        self._failed = False
        self._started = False
        self._made = Counter("soonest_vllm_forecasts", "Forecasts asked of the predictor.", ["outcome"])
        self._seconds = Histogram("soonest_vllm_forecast_seconds", "Seconds that a forecast takes.")
        REGISTRY.register(Boards())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's start and end."""
        if not self._started:
            self._start(scope)
        if self.predictor is None or not _is_call(scope):
            await self.app(scope, receive, send)
            return
        body, rest = await _body(receive)
        asked = _read(body)
        prompt = None if asked is None else _prompt(asked)
        if asked is None or prompt is None:
            await self.app(scope, rest, send)
            return
        answer = Answer(send, drop_usage=_ask_usage(asked))
        given = asked.get("vllm_xargs") or {}
        if isinstance(given, dict) and FIELD not in given:
            forecast = await self._forecast(prompt)
            if forecast is not None:
                asked["vllm_xargs"] = {**given, FIELD: [forecast.low, forecast.expected, forecast.high]}
        changed = json.dumps(asked).encode()
        await self.app(_sized(scope, len(changed)), _again(changed, receive), answer.send)
        if answer.tokens is not None:
            learned = (prompt, answer.tokens, answer.censored)
            asyncio.get_running_loop().run_in_executor(self._thread, self._learn, *learned)

    def _start(self, scope: Message) -> None:
        self._started = True
        arguments = getattr(getattr(scope.get("app"), "state", None), "args", None)
        options = Options.read(getattr(arguments, "additional_config", None))
        if options.predictor:
            from soonest.predict import Predictor  # noqa: PLC0415 - only where a predictor is asked for

            self.predictor = Predictor.from_pretrained(options.predictor)
            log.info("forecasts by the predictor %r from %s", self.predictor.name, options.predictor)

    async def _forecast(self, prompt: Prompt) -> Forecast | None:
        begun = time.perf_counter()
        found = await asyncio.get_running_loop().run_in_executor(self._thread, self._predict, prompt)
        self._seconds.observe(time.perf_counter() - begun)
        if found is None:
            self._made.labels("failed").inc()
            return None
        self._made.labels("made" if found.known else "unknown").inc()
        return found if found.known else None

    def _predict(self, prompt: Prompt) -> Forecast | None:
        try:
            return self.predictor.predict([prompt])[0]  # type: ignore[union-attr]
        except Exception as error:  # noqa: BLE001 - a predictor may be anybody's code
            self._tell(error)
            return None

    def _learn(self, prompt: Prompt, tokens: int, censored: bool) -> None:  # noqa: FBT001 - the answer's kind
        try:
            self.predictor.update(prompt, tokens, censored)  # type: ignore[union-attr]
        except Exception as error:  # noqa: BLE001 - as above
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            log.error("the predictor fails: its requests are served in arrival order", exc_info=error)


class Boards:
    """What the schedulers of this front end have counted, for vLLM's `/metrics`."""

    def collect(self) -> Iterable[CounterMetricFamily]:
        """One counter a name, one sample a scheduler."""
        boards = list(boards_of(os.getpid()))
        for name, text in COUNTERS.items():
            family = CounterMetricFamily(f"soonest_vllm_{name}", text, labels=["engine"])
            for rank, values in boards:
                family.add_metric([rank], values[name])
            yield family


def _is_call(scope: Message) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and str(scope["path"]).endswith(PATHS)


async def _body(receive: Receive) -> tuple[bytes, Receive]:
    """The whole body, and a `receive` that gives it again."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"", _first(message, receive)
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            body = b"".join(parts)
            return body, _again(body, receive)


def _again(body: bytes, receive: Receive) -> Receive:
    return _first({"type": "http.request", "body": body, "more_body": False}, receive)


def _first(message: Message, receive: Receive) -> Receive:
    left = [message]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None  # vLLM says what is wrong with it
    return found if isinstance(found, dict) else None


def _prompt(asked: dict[str, Any]) -> Prompt | None:
    """What is asked, if it is one question in words."""
    question = asked.get("prompt")
    if isinstance(question, list) and len(question) == 1 and isinstance(question[0], str):
        question = question[0]
    if not isinstance(asked.get("messages"), list) and not isinstance(question, str):
        return None
    if asked.get("n") not in {None, 1}:
        return None
    return Prompt.from_body({**asked, "prompt": question}, id=f"vllm-{next(NAMES)}")


def _ask_usage(asked: dict[str, Any]) -> bool:
    """Have a stream end with its usage; whether nobody else asked for that."""
    if not asked.get("stream"):
        return False
    options = asked.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        return False
    asked["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return True


def _sized(scope: Message, length: int) -> Message:
    """The request with another length of body."""
    others = [(k, v) for k, v in scope["headers"] if k not in {b"content-length", b"transfer-encoding"}]
    return {**scope, "headers": [*others, (b"content-length", str(length).encode())]}

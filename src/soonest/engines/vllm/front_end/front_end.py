"""Each request leaves vLLM's front end with a forecast: `--middleware soonest.engines.vllm.FrontEnd`."""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, Counter, Histogram
from starlette.datastructures import Headers
from vllm import envs

from soonest.core import Prompt
from soonest.engines.vllm.forecasts import FIELD
from soonest.engines.vllm.front_end import bodies
from soonest.engines.vllm.front_end.answers import Answer
from soonest.engines.vllm.front_end.boards import Boards
from soonest.engines.vllm.options import Options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from vllm.entrypoints.serve.middleware.authenticate import AuthenticationMiddleware

    from soonest.predict import Forecasting

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("vllm.soonest")
PATHS = ("/v1/chat/completions", "/v1/completions")
NAMES = count(1)


class FrontEnd:
    """ASGI middleware: each request leaves with a forecast, and each answer's length goes back to the predictor.

    A request that brings a forecast keeps it; where the predictor fails, is late or knows nothing, it goes on without.
    A stream is asked for its usage, which only reaches those who asked for it. Where nothing is added, the body's bytes
    stay as they are. With a folder that holds no predictor vLLM does not start. A request without the key that vLLM
    wants is not looked at, and vLLM refuses it.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app
        self.forecasting: Forecasting | None = None
        self._started = self._usage_comes = False
        self._keys: AuthenticationMiddleware | None = None
        self._made = Counter("soonest_vllm_forecasts", "Forecasts asked of the predictor.", ["outcome"])
        self._seconds = Histogram("soonest_vllm_forecast_seconds", "Seconds that a forecast takes.")
        REGISTRY.register(Boards())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's start and end."""
        if not self._started:
            try:
                self._start(scope)
            except Exception as error:
                if scope["type"] != "lifespan":
                    raise
                # raised, it would be passed over: the server takes it for an application without a start
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                return
        if self.forecasting is None or not _is_call(scope) or not self._may_ask(scope):
            await self.app(scope, receive, send)
        else:
            await self._call(self.forecasting, scope, receive, send)

    def _start(self, scope: Message) -> None:
        arguments = getattr(getattr(scope.get("app"), "state", None), "args", None)
        options = Options.read(getattr(arguments, "additional_config", None))
        self._usage_comes = bool(getattr(arguments, "enable_force_include_usage", False))
        if keys := [key for key in getattr(arguments, "api_key", None) or [envs.VLLM_API_KEY] if key]:
            from vllm.entrypoints.serve.middleware import authenticate  # noqa: PLC0415 - only where there are any

            self._keys = authenticate.AuthenticationMiddleware(self.app, keys)
        if options.predictor:
            from soonest.predict import Forecasting, Predictor  # noqa: PLC0415 - only where one is asked for

            predictor = Predictor.from_pretrained(options.predictor)
            self.forecasting = Forecasting(predictor, options.forecast_budget, log)
            log.info("forecasts by the predictor %r from %s", predictor.name, options.predictor)
        self._started = True

    def _may_ask(self, scope: Message) -> bool:
        """Whether vLLM, whose own check comes after us, will answer."""
        return self._keys is None or self._keys.verify_token(Headers(scope=scope))

    async def _call(self, forecasting: Forecasting, scope: Message, receive: Receive, send: Send) -> None:
        body, receive_it = await bodies.whole(receive)
        asked = bodies.read(body)
        prompt = None if asked is None else _prompt(asked)
        if asked is None or prompt is None:
            await self.app(scope, receive_it, send)
            return
        usage = None if self._usage_comes else _usage_asked(asked)
        new: dict[str, object] = {} if usage is None else {"stream_options": usage}
        given = asked.get("vllm_xargs")
        given = {} if given is None else given
        if isinstance(given, dict) and FIELD not in given:
            hint = await self._forecast(forecasting, prompt)
            new |= {} if hint is None else {"vllm_xargs": {**given, FIELD: hint}}
        if new:
            body = bodies.added(body, new)
            scope, receive_it = bodies.sized(scope, len(body)), bodies.again(body, receive)
        answer = Answer(send, drop_usage=usage is not None)
        await self.app(scope, receive_it, answer.send)
        if answer.tokens is not None:
            forecasting.learn(prompt, answer.tokens, censored=answer.censored)

    async def _forecast(self, forecasting: Forecasting, prompt: Prompt) -> list[float] | None:
        """Low, expected and high, where the predictor knows."""
        made = await forecasting.ask(prompt)
        known = made.forecast.known
        self._seconds.observe(made.seconds)
        self._made.labels(made.fallback or ("made" if known else "unknown")).inc()
        return [made.forecast.low, made.forecast.expected, made.forecast.high] if known else None


def _is_call(scope: Message) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and str(scope["path"]).endswith(PATHS)


def _prompt(asked: dict[str, Any]) -> Prompt | None:
    """What is asked, if it is one question in words."""
    question = asked.get("prompt")
    if isinstance(question, list) and len(question) == 1 and isinstance(question[0], str):
        question = question[0]
    if not isinstance(asked.get("messages"), list) and not isinstance(question, str):
        return None
    if asked.get("n") not in (None, 1):
        return None
    return Prompt.from_body({**asked, "prompt": question}, id=f"vllm-{next(NAMES)}")


def _usage_asked(asked: dict[str, Any]) -> dict[str, Any] | None:
    """Options with which a stream ends with its usage; `None` where they are that already, or none are fit."""
    options = asked.get("stream_options")
    options = {} if options is None else options
    if asked.get("stream") is not True or not isinstance(options, dict) or options.get("include_usage"):
        return None
    return {**options, "include_usage": True, "continuous_usage_stats": False}

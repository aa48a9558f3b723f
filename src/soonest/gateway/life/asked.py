"""A request as it came: who sends it, what it asks for, and what is believed of its answer."""

from __future__ import annotations

import time
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from soonest.core import Forecast, ForecastError, Prompt, Request
from soonest.gateway.intake import (
    Refused,
    choices_of,
    hint_of,
    hold,
    let_in,
    priority_of,
    read_body,
    request_id,
    token_ids_of,
)
from soonest.gateway.observe.traces import CHAT, COMPLETION
from soonest.gateway.queueing import Made
from soonest.gateway.wire import BadBody, failure, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.gateway.access import Caller
    from soonest.gateway.gateway import Gateway
    from soonest.gateway.observe import Series, Trace

LONGEST_NAME: Final = 128
NOTHING: Final = Made(Forecast.unknown(1), 0.0)
NOBODY: Final = Request("", 0.0, 0)
SILENCE: Final = Prompt(())


class Asked:
    """One request to a scheduled path. `id` is its client's word, `key` is unlike any other's.

    `ask` takes a caller's place and room for the body, `let_go` gives both back.
    """

    raw = b""
    fields: Mapping[str, Any] = MappingProxyType({})
    prompt, made, request = SILENCE, NOTHING, NOBODY
    choices, hinted = 1, False
    caller: Caller | None = None
    trace: Trace | None = None
    _series: Series | None = None
    _held = 0

    def __init__(self, gateway: Gateway, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        self.gateway, self.scope, self.receive, self.send = gateway, scope, receive, send
        self.arrival, self.wall = gateway.now(), time.time()
        self.key = gateway.new_id()
        self.id = request_id(scope) or self.key

    @property
    def series(self) -> Series:
        """The metrics of the model that was asked for."""
        return self._series or self.gateway.series(self.prompt.model)

    @property
    def streams(self) -> bool:
        """Whether the client asked for a stream."""
        return self.fields.get("stream") is True

    async def ask(self) -> None:
        """Let the caller in, read the body, and make a forecast. Raises Refused, and Gone."""
        gateway = self.gateway
        caller = self.caller = let_in(gateway, self.scope, self.arrival)
        self.raw = await read_body(gateway, self.scope, self.receive)
        self._held = hold(gateway, len(self.raw))
        try:
            self.fields = read(self.raw)
        except BadBody as error:
            raise Refused(failure(400, str(error)), "body") from None
        prompt = Prompt.from_body(self.fields, id=self.key, tenant=caller.tenant)
        if len(prompt.model) > LONGEST_NAME or not prompt.model.isascii():
            prompt = replace(prompt, model=_text(prompt.model[:LONGEST_NAME]))
        self.prompt, self._series = prompt, gateway.series(prompt.model)
        if gateway.traces is not None:
            operation = CHAT if "messages" in self.fields else COMPLETION
            self.trace = gateway.traces.begin(operation, prompt.model, self.scope["headers"], self.id)
        forecasting, hint = gateway.forecasting, self._hint()
        if hint is None:
            made = forecasting.at_once(prompt) if forecasting.quick else await forecasting.ask(prompt)
            self._series.forecast_made(made.seconds)
            if made.fallback:
                self._series.fallback(made.fallback)
            self.made = made
        tokens = token_ids_of(self.fields)
        if tokens is None and gateway.tokenizes:
            tokens = await gateway.prompt_tokens(self.fields)
            if tokens is None:
                self._series.fallback("tokenize")
        self.choices = choices_of(self.fields)
        self.request = Request(
            id=self.key,
            arrival=self.arrival,
            prompt_tokens=gateway.counting.estimate(prompt) if tokens is None else tokens,
            max_tokens=prompt.max_tokens,
            priority=caller.priority(priority_of(self.fields)),
            tenant=prompt.tenant,
            model=prompt.model,
            forecast=self.made.forecast,
        )

    def let_go(self) -> None:
        """The caller's place and the room for the body are free."""
        self.gateway.held_bytes -= self._held
        self._held = 0
        if self.caller is not None:
            self.gateway.access.leave(self.caller)
            self.caller = None

    def _hint(self) -> Forecast | None:
        """What the client itself says of its answer; it goes before what a predictor says."""
        try:
            hint = hint_of(self.fields)
        except ForecastError:
            self.series.fallback("hint")
            return None
        if hint is not None:
            self.hinted, self.made = True, Made(hint, 0.0)
        return hint


def _text(name: str) -> str:
    """A name without halves of surrogate pairs, which JSON allows and no encoding takes."""
    return name.encode("utf-8", "replace").decode()

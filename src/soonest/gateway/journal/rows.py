"""The journal's row of a request's life."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from soonest.data.journal.row import UNFINISHED, Row

if TYPE_CHECKING:
    from soonest.gateway.life import Life


def row_of(life: Life, now: float = math.nan) -> Row:
    """On the wall's clock; one that has not ended without `now`."""
    request, forecast, said, shift = life.request, life.request.forecast, life.said, life.wall - life.arrival
    return Row(
        id=life.id,
        arrival=life.wall,
        admitted=life.admitted + shift,
        first_token=life.first_token + shift,
        finished=now + shift,
        prompt_tokens=said.prompt_tokens or request.prompt_tokens,
        cached_tokens=said.cached_tokens,
        output_tokens=said.tokens,
        max_tokens=request.max_tokens,
        low=forecast.low,
        expected=forecast.expected,
        high=forecast.high,
        coverage=forecast.coverage,
        known=forecast.known,
        policy=life.gateway.settings.policy,
        tenant=request.tenant,
        model=request.model,
        priority=request.priority,
        engine=life.backend.name if life.backend is not None else "",
        outcome=UNFINISHED if math.isnan(now) else life.outcome.value,
        finish_reason=said.finish_reason,
        choices=life.choices,
        forecast_seconds=life.made.seconds,
        prompt=life.raw.decode("utf-8", "replace") if life.gateway.settings.journal_prompts else None,
    )

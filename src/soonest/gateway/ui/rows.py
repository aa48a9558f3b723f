"""A request in words, as a row of the page and in full. What a client said and what it was told are never in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soonest.core import Forecast
    from soonest.gateway.life import Life
    from soonest.gateway.ui.live import Ended
    from soonest.gateway.ui.waits import Wait

Said = dict[str, Any]
"""What becomes a JSON object. Times are seconds since the request's arrival unless they say otherwise."""


def waiting(life: Life, wait: Wait, now: float) -> Said:
    """A row of one that waits."""
    lane = "overdue" if wait.overdue else "rank"
    return {**_row(life, now), "state": "waiting", "place": wait.place, "lane": lane, "why": wait.why.value}


def running(life: Life, now: float, engine: int) -> Said:
    """A row of one that runs at an engine, given by its number."""
    ticket = life.ticket
    tokens = 0 if ticket is None else ticket.entry.generated * life.choices
    waited = seconds(life.admitted - life.arrival)
    return {**_row(life, now), "state": "running", "engine": engine, "tokens": tokens, "waited": waited}


def over(ended: Ended, engine: int | None) -> Said:
    """A row of one that is over."""
    record = ended.record
    until = ended.ended if math.isnan(record.admitted) else record.admitted
    return {
        "key": ended.key,
        "id": record.id,
        "tenant": record.tenant,
        "state": record.outcome.value,
        "engine": engine,
        "age": seconds(ended.ended - record.arrival),
        "waited": seconds(until - record.arrival),
        "tokens": record.output_tokens,
        **_forecast(ended.made.forecast),
    }


def alive(life: Life, wait: Wait | None, now: float) -> Said:
    """All of one that waits or runs; `wait` where it is among the first in line."""
    ticket, request, forecast = life.ticket, life.request, life.made.forecast
    runs = ticket is not None and ticket.place is not None
    said: Said = {
        "key": life.key,
        "id": life.id,
        "state": "running" if runs else "waiting",
        "arrival": life.wall,
        "age": seconds(now - life.arrival),
        "tenant": request.tenant,
        "model": request.model,
        "priority": request.priority,
        "choices": life.choices,
        "streams": life.streams,
        "prompt_tokens": request.prompt_tokens,
        "max_tokens": request.max_tokens,
        "tokens": ticket.entry.generated * life.choices if ticket is not None else 0,
        "forecast": _made(forecast, life.made.seconds, hinted=life.hinted),
        "admitted": seconds(life.admitted - life.arrival),
        "first_token": seconds(life.first_token - life.arrival),
        "finished": None,
        "engine": life.backend.name if runs and life.backend is not None else None,
        "failed_at": life.failed_at,
        "overtaken": life.overtaken,
        "status": None,
        "finish_reason": None,
    }
    if wait is not None and not runs:
        said |= {"place": wait.place, "lane": "overdue" if wait.overdue else "rank", "why": wait.why.value}
    return said


def gone(ended: Ended) -> Said:
    """All of one that is over."""
    record = ended.record
    return {
        "key": ended.key,
        "id": record.id,
        "state": record.outcome.value,
        "arrival": ended.wall,
        "age": seconds(ended.ended - record.arrival),
        "tenant": record.tenant,
        "model": ended.model,
        "priority": ended.priority,
        "choices": ended.choices,
        "streams": ended.streams,
        "prompt_tokens": record.prompt_tokens,
        "max_tokens": ended.max_tokens,
        "tokens": record.output_tokens,
        "forecast": _made(ended.made.forecast, ended.made.seconds, hinted=ended.hinted),
        "admitted": seconds(record.admitted - record.arrival),
        "first_token": seconds(record.first_token - record.arrival),
        "finished": seconds(ended.ended - record.arrival),
        "engine": ended.engine or None,
        "failed_at": ended.failed_at,
        "overtaken": ended.overtaken,
        "status": ended.status or None,
        "finish_reason": ended.finish_reason or None,
    }


def seconds(value: float) -> float | None:
    """To a tenth of a millisecond; None for what has not happened."""
    return None if math.isnan(value) else round(value, 4)


def _row(life: Life, now: float) -> Said:
    age = seconds(now - life.arrival)
    return {
        "key": life.key,
        "id": life.id,
        "tenant": life.request.tenant,
        "engine": None,
        "age": age,
        "waited": age,
        "tokens": 0,
        **_forecast(life.made.forecast),
    }


def _forecast(forecast: Forecast) -> Said:
    if not forecast.known:
        return {"low": None, "expected": None, "high": None}
    return {"low": forecast.low, "expected": round(forecast.expected, 1), "high": forecast.high}


def _made(forecast: Forecast, took: float, *, hinted: bool) -> Said | None:
    if not forecast.known:
        return None
    by = "client" if hinted else "predictor"
    return {**_forecast(forecast), "coverage": forecast.coverage, "seconds": took, "by": by}

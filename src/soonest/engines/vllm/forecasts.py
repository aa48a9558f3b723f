"""The forecast that a request brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.core import Forecast, ForecastError

if TYPE_CHECKING:
    from vllm.v1.request import Request as VllmRequest

    from soonest.engines.vllm.metrics import Board

FIELD = "soonest_forecast"


def forecast_of(source: VllmRequest, board: Board) -> Forecast:
    """Three numbers under `vllm_xargs`: low, expected, high; else unknown. What is odd is counted and passed over."""
    limit = max(1, source.max_tokens)
    given = ((source.sampling_params and source.sampling_params.extra_args) or {}).get(FIELD)
    if given is None:
        board.add("forecasts_none")
        return Forecast.unknown(limit)
    try:
        forecast = Forecast.told(given)
    except ForecastError:
        board.add("forecasts_bad")
        return Forecast.unknown(limit)
    board.add("forecasts_hint")
    return forecast

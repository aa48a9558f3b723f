"""Forecasts in vLLM's front end, away from the scheduling loop."""

from soonest.engines.vllm.front_end.front_end import FrontEnd

__all__ = ["FrontEnd"]

"""Forecasts from the words of a prompt, by linear models and boosted trees."""

from soonest.predict.text.predictor import Text

__all__ = ["Text"]

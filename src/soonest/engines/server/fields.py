"""The members of a request body, checked at the border."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from soonest.core import Forecast, ForecastError
from soonest.engines.server.errors import bad

Body = Mapping[str, Any]
HINTS = ("vllm_xargs", "custom_params")
HINT = "soonest_forecast"
MOST_STOPS = 16
MOST_BIASED = 1024
MOST_DIGITS = 10
LARGEST = 1 << 31


def number(body: Body, key: str, default: float, low: float, high: float) -> float:
    """A number from `low` to `high`, or the default where it is missing or null."""
    value = body.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        bounds = f"a number from {low:g}" + (f" to {high:g}" if math.isfinite(high) else "")
        raise bad(f"{key} must be {bounds}", key)
    return float(value)


def integer(body: Body, key: str, default: int, low: int, high: int = LARGEST) -> int:
    """A whole number from `low` to `high`, or the default where it is missing or null."""
    value = body.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise bad(f"{key} must be a whole number from {low} to {high}", key)
    return value


def flag(body: Body, key: str, *, default: bool = False) -> bool:
    """True or false, or the default where it is missing or null."""
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad(f"{key} must be true or false", key)
    return value


def stops(body: Body) -> tuple[str, ...]:
    """Stop strings: one, or a list."""
    value = body.get("stop")
    found = [value] if isinstance(value, str) else value or []
    if not isinstance(found, list) or len(found) > MOST_STOPS or not all(isinstance(s, str) for s in found):
        raise bad(f"stop must be a string, or a list of at most {MOST_STOPS} strings", "stop")
    if not all(found):
        raise bad("stop must not be empty", "stop")
    return tuple(found)


def token_ids(value: object, key: str, vocabulary: int) -> list[int]:
    """A list of token ids that the model has."""
    if not isinstance(value, list) or not all(type(t) is int and 0 <= t < vocabulary for t in value):
        raise bad(f"{key} must be a list of token ids below {vocabulary}", key)
    return value


def bias(body: Body, vocabulary: int) -> dict[int, float]:
    """What is added to the logits of which tokens."""
    value = body.get("logit_bias")
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MOST_BIASED:
        raise bad(f"logit_bias must be an object of at most {MOST_BIASED} token ids", "logit_bias")
    found = {}
    for key in value:
        if not (len(key) <= MOST_DIGITS and key.isascii() and key.isdecimal() and int(key) < vocabulary):
            raise bad(f"logit_bias: {key[:MOST_DIGITS]!r} is no token id below {vocabulary}", "logit_bias")
        found[int(key)] = number(value, key, 0.0, -100, 100)
    return found


def hint(body: Body) -> Forecast | None:
    """What the sender says of the answer's length; what is odd is no hint."""
    for key in HINTS:
        extra = body.get(key)
        said = extra.get(HINT) if isinstance(extra, dict) else None
        if said is not None:
            try:
                return Forecast.told(said)
            except ForecastError:
                return None
    return None

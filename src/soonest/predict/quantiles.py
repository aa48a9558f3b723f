"""From quantiles to forecasts."""

from __future__ import annotations

import math
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import Forecast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEVELS: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Levels of every forecast made here; the first and the last are the hard support."""
FIVE: Final = LEVELS.index(0.05)
ROUNDING: Final = 1e-6
LONGEST: Final = 1 << 20
"""Tokens no forecast goes beyond."""
LONGEST_LOG: Final = math.log(LONGEST)


def forecast(
    tokens: Sequence[float], limit: int, coverage: float | None = None, interval: tuple[float, float] | None = None
) -> Forecast:
    """A forecast from token counts at `LEVELS`, made monotone and cut at `limit`.

    `low` and `high` are the whole numbers within the `interval`, which promises `coverage`, or the nearest one where
    there is none; without an interval they are the 5 % and 95 % quantiles and promise nothing.
    """
    top = float(max(1, min(limit, LONGEST)))
    growing = accumulate(tokens, max, initial=1.0)  # the largest so far: a count that is no number changes nothing
    next(growing)
    counts = tuple([min(top, count) for count in growing])
    if interval is None:
        return Forecast(LEVELS, counts, int(counts[FIVE]), math.ceil(counts[-1 - FIVE]))
    low = min(max(0.0, interval[0]), top)
    high = min(max(low, interval[1]), top)
    least, most = math.ceil(low - ROUNDING), math.floor(high + ROUNDING)
    if least > most:
        least = most = round((low + high) / 2)
    return Forecast(LEVELS, counts, least, most, coverage)


def at_levels(made: Forecast) -> Sequence[float]:
    """A forecast's token counts at `LEVELS`."""
    return made.tokens if made.levels == LEVELS else [made.quantile(level) for level in LEVELS]


def quantile_rows(tokens: NDArray[np.float64], levels: Sequence[float]) -> NDArray[np.float64]:
    """Rows of quantiles at `levels`, of shape (n, k), as rows at `LEVELS`; monotone, and linear between in the log.

    Beyond the outermost levels given, the log goes on as between the two outermost, the support ends one such step out.
    """
    logs = np.log(np.maximum(np.sort(tokens, axis=1), 1.0))
    left, share = _between(tuple(levels))
    rows = logs.take(left, axis=1) * (1 - share) + logs.take(left + 1, axis=1) * share
    return np.asarray(np.exp(np.maximum.accumulate(rows.clip(0, LONGEST_LOG), axis=1)))


def quantile_row(tokens: Sequence[float], levels: tuple[float, ...]) -> list[float]:
    """One row of `quantile_rows`, of plain numbers, which is quicker; not made monotone yet."""
    logs = [math.log(max(count, 1.0)) for count in sorted(tokens)]
    steps = zip(*_steps(levels), strict=True)
    return [math.exp(min(max(logs[i] * (1 - s) + logs[i + 1] * s, 0.0), LONGEST_LOG)) for i, s in steps]


def loss(made: Forecast, tokens: int) -> float:
    """Pinball loss of the log of a forecast's quantiles, the mean over its inner levels: smaller is better, 0 is exact.

    On the log, so that an error counts by its share of the length (Koenker and Bassett, 1978).
    """
    levels = np.asarray(made.levels[1:-1] or (0.5,))
    counts = np.asarray(made.tokens[1:-1] or (made.expected,))
    short = math.log1p(tokens) - np.log1p(counts)
    return float(np.maximum(levels * short, (levels - 1) * short).mean())


@cache
def _steps(levels: tuple[float, ...]) -> tuple[list[int], list[float]]:
    """`_between` as plain numbers."""
    left, share = _between(levels)
    return left.tolist(), share.tolist()


@cache
def _between(levels: tuple[float, ...]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each of `LEVELS`: which of `levels` is the left one of the two it comes from, and how far on it is."""
    known, inner = np.asarray(levels), np.asarray(LEVELS)
    left = (known.searchsorted(inner) - 1).clip(0, len(known) - 2)
    return left, ((inner - known[left]) / (known[left + 1] - known[left])).clip(-1, 2)

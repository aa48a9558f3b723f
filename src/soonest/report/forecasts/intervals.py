"""Do forecasts keep their promise, and at what width?

Unknown forecasts promise nothing and are in none of these. A cut answer is at least as long as it was cut at: an
interval covers it if its high end reaches that far; elsewhere it counts with the length at which it was cut.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.report.compare import student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.report.forecasts.columns import Columns

    Truth = NDArray[np.int64]
    Hits = NDArray[np.bool_]

LEVELS: Final = tuple(i / 20 for i in range(1, 20))
"""Nominal levels of the calibration curve and of the pinball loss: 5 %, 10 %, ..., 95 %."""
UNPROMISED: Final = 0.9
"""The coverage by which an interval without a promise is scored."""
DECILES: Final = 10


class Share(NamedTuple):
    """A share, and its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Part(NamedTuple):
    """Answers of similar forecast: their mean expected tokens, their number, and the share covered."""

    expected: float
    size: int
    coverage: float


def covered(forecasts: Columns, tokens: Truth, censored: NDArray[np.bool_]) -> Hits:
    """Which answers lie in the named interval; a cut one does if the high end is not below the cut."""
    return (tokens <= forecasts.high) & (censored | (forecasts.low <= tokens))


def coverage(hits: Hits, groups: NDArray[np.generic]) -> Share:
    """Share of answers inside low..high, with a 95 % interval that takes a conversation, not a row, as the unit.

    Where all answers are alike the interval is the exact one for as many independent answers as there are groups.

    Formula: p = mean(low <= length <= high); p ± t sqrt(g/(g-1) sum over g groups of (sum of (hit - p))^2) / n.
    Unit: share. Source: Liang and Zeger, 1986.
    """
    if not len(hits):
        return Share(math.nan, math.nan, math.nan)
    names, member = np.unique(groups, return_inverse=True)
    p, g = float(hits.mean()), len(names)
    if p in {0.0, 1.0}:
        edge = 0.025 ** (1 / g)
        return Share(p, edge, 1.0) if p else Share(p, 0.0, 1 - edge)
    if g == 1:
        return Share(p, 0.0, 1.0)
    sums = np.bincount(member, weights=hits - p)
    half = student(g - 1) * math.sqrt(g / (g - 1) * float(np.square(sums).sum())) / len(hits)
    return Share(p, max(p - half, 0.0), min(p + half, 1.0))


def width_mean(forecasts: Columns) -> float:
    """Mean width of the named interval.

    Formula: mean(high - low). Unit: tokens. Source: soonest.
    """
    return float((forecasts.high - forecasts.low).mean()) if len(forecasts) else math.nan


def width_median(forecasts: Columns) -> float:
    """Median width of the named interval.

    Formula: median(high - low). Unit: tokens. Source: soonest.
    """
    return float(np.median(forecasts.high - forecasts.low)) if len(forecasts) else math.nan


def deciles(forecasts: Columns, hits: Hits) -> tuple[Part, ...]:
    """Coverage in tenths by expected tokens, the shortest first; equal forecasts stay together, perhaps in fewer."""
    if not len(forecasts):
        return ()
    expected = forecasts.expected
    inner = np.quantile(expected, np.arange(1, DECILES) / DECILES, method="inverted_cdf")
    member = np.searchsorted(inner, expected, side="left")
    parts = (member == part for part in np.unique(member))
    return tuple(Part(float(expected[p].mean()), int(p.sum()), float(hits[p].mean())) for p in parts)


def worst_decile(parts: tuple[Part, ...]) -> float:
    """The lowest coverage in any tenth of the answers by expected tokens.

    Formula: min over deciles of expected tokens of mean(low <= length <= high). Unit: share. Source: soonest.
    """
    return min((part.coverage for part in parts), default=math.nan)


def interval_score(forecasts: Columns, tokens: Truth) -> float:
    """Width, and a penalty for each answer outside; lower is better. Without a promise, alpha is 0.1.

    Formula: mean(high - low + 2/alpha (distance outside)), alpha = 1 - promised coverage. Unit: tokens.
    Source: Gneiting and Raftery, 2007.
    """
    if not len(forecasts):
        return math.nan
    alpha = 1 - np.where(np.isnan(forecasts.promised), UNPROMISED, forecasts.promised)
    outside = np.maximum(forecasts.low - tokens, 0) + np.maximum(tokens - forecasts.high, 0)
    penalty = np.zeros(len(forecasts))
    with np.errstate(divide="ignore"):  # whoever promises everything pays without bound
        np.divide(2 * outside, alpha, out=penalty, where=outside > 0)
    return float((forecasts.high - forecasts.low + penalty).mean())


def pinball(forecasts: Columns, tokens: Truth) -> float:
    """Loss of the quantiles, averaged over the levels 5 %, 10 %, ..., 95 %; lower is better.

    Formula: mean over levels l and answers of max(l (length - q), (1 - l) (q - length)), q = quantile at l.
    Unit: tokens. Source: Koenker and Bassett, 1978.
    """
    if not len(forecasts):
        return math.nan
    gaps = ((level, tokens - forecasts.quantile(level)) for level in LEVELS)
    return float(np.mean([np.maximum(level * gap, (level - 1) * gap).mean() for level, gap in gaps]))


def calibration(forecasts: Columns, tokens: Truth) -> tuple[tuple[float, float], ...]:
    """The calibration curve: at each nominal level, the share of answers that do not exceed the quantile there."""
    if not len(forecasts):
        return ()
    return tuple((level, float((tokens <= forecasts.quantile(level)).mean())) for level in LEVELS)


def calibration_error(curve: tuple[tuple[float, float], ...]) -> float:
    """How far the calibration curve is from the diagonal.

    Formula: mean over the levels 5 %, ..., 95 % of |observed - nominal|. Unit: share. Source: soonest.
    """
    return float(np.mean([abs(observed - nominal) for nominal, observed in curve])) if curve else math.nan

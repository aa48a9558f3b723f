"""Quantiles of how far answers fall from what was forecast, where some answers are cut."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SURE: Final = 1.0
"""Standard errors by which more must be cut than may fall out above, before the rest may fall out below."""


def residual_quantiles(
    residuals: NDArray[np.float64], cut: NDArray[np.bool_], levels: Sequence[float]
) -> NDArray[np.float64]:
    """For each column of residuals, of shape (n, k), its quantile at that column's level.

    Rows that were cut are at least as large as they stand: the law is Kaplan and Meier's (1958). Levels above one half
    are raised, those below lowered, by the share that one more row could take: split conformal prediction's correction.
    A level that the law never reaches, because answers were cut before, has the largest row.
    """
    n = len(residuals)
    found = np.empty(residuals.shape[1])
    for j, level in enumerate(levels):
        share = level * (1 + 1 / n) if level > 0.5 else level - (1 - level) / n
        order = np.lexsort((cut, residuals[:, j]))
        ended = ~cut[order]
        below = 1 - np.cumprod(1 - ended / np.arange(n, 0, -1))
        i = int(np.searchsorted(below, share - 1e-12))
        found[j] = residuals[order[min(i, n - 1)], j]
    return found


def interval_levels(
    residuals: NDArray[np.float64], cut: NDArray[np.bool_], levels: tuple[float, float]
) -> tuple[float, float]:
    """Levels of an interval's ends whose distance is that of `levels`, given residuals at its upper end, of shape (n,).

    Where so many answers are cut that the upper level is never reached, nothing falls out above. What may fall out
    falls out below then, if that is no chance of these answers: an upper end that comes and goes with their luck misses
    more than its share when it is there, and a lower end that made up for it when it is not would break the promise.
    """
    low, high = levels
    n, tail = len(residuals), 1 - high
    order = np.lexsort((cut, residuals))
    reached = 1 - np.prod(1 - ~cut[order] / np.arange(n, 0, -1))
    if reached >= high * (1 + 1 / n) - 1e-12:
        return low, high
    sure = 1 - reached > tail + SURE * math.sqrt(tail * high / n)
    return (low + tail if sure else low), 1.0

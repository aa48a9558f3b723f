"""Quantiles of how far answers fall from what was forecast, where some answers are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


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

    Where so many answers are cut that the upper level is never reached, nothing falls out above: what may fall out
    falls out below.
    """
    low, high = levels
    n = len(residuals)
    order = np.lexsort((cut, residuals))
    reached = 1 - np.prod(1 - ~cut[order] / np.arange(n, 0, -1))
    return (low, high) if reached >= high * (1 + 1 / n) - 1e-12 else (low + 1 - high, 1.0)

"""How far answers fall from what was forecast of them, and quantiles of that under missing and cut answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FEW: Final = 20
"""Answers, in effect, below which no quantile of them is trusted."""


def weighted_quantiles(
    residuals: NDArray[np.float64], cut: NDArray[np.bool_], weights: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """For each column of residuals, of shape (n, k), its quantile at that column's level.

    Rows that were cut are at least as large as they stand: the law is Kaplan and Meier's (1958), each row counted by
    its weight. Levels above one half are raised, those below lowered, by the share that one more row could take: split
    conformal prediction's correction, with the weights' effective number of rows. What the law never reaches is the
    largest row.
    """
    found = np.empty(residuals.shape[1])
    effective = weights.sum() ** 2 / (weights**2).sum()
    for j, level in enumerate(levels):
        share = level * (1 + 1 / effective) if level > 0.5 else level - (1 - level) / effective
        order = np.lexsort((cut, residuals[:, j]))
        values, w, c = residuals[order, j], weights[order], cut[order]
        if c.any():
            risk = w[::-1].cumsum()[::-1]
            below = 1 - np.cumprod(1 - np.where(c, 0.0, w / risk))
        else:
            below = w.cumsum() / w.sum()
        i = int(np.searchsorted(below, share - 1e-12))
        found[j] = values[min(i, len(values) - 1)]
    return found


def effective(weights: NDArray[np.float64]) -> float:
    """How many equally weighted rows would say as much."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0

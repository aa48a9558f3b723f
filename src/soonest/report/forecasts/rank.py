"""Do forecasts put answers into the right order? All that a policy needs that ranks by expected tokens.

A cut answer counts with the length at which it was cut.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64] | NDArray[np.int64]


class Pairs(NamedTuple):
    """Pairs of requests: all, those that the forecast, the truth or both hold equal, and those in the wrong order."""

    all: int
    forecast_equal: int
    truth_equal: int
    both_equal: int
    wrong: int


def pairs(forecast: Numbers, truth: Numbers) -> Pairs:
    """Count the pairs of each kind in O(n log n) (Knight, 1966)."""
    a = np.unique(forecast, return_inverse=True)[1].astype(np.int64)
    b = np.unique(truth, return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((b, a))
    both = a * (int(b.max(initial=0)) + 1) + b
    n = len(a)
    return Pairs(n * (n - 1) // 2, _equal(a), _equal(b), _equal(both), inversions(b[order]))


def kendall_tau(forecast: Numbers, truth: Numbers) -> float:
    """Rank agreement, corrected for ties: 1 is the right order, 0 none, -1 the reverse; `nan` if one never differs.

    Formula: (right - wrong) / sqrt((pairs - forecast ties) (pairs - truth ties)). Unit: correlation.
    Source: Kendall, 1945 (tau-b).
    """
    p = pairs(forecast, truth)
    right = p.all - p.forecast_equal - p.truth_equal + p.both_equal - p.wrong
    scale = math.sqrt(p.all - p.forecast_equal) * math.sqrt(p.all - p.truth_equal)
    return min(max((right - p.wrong) / scale, -1.0), 1.0) if scale else math.nan  # rounding


def pairwise_accuracy(forecast: Numbers, truth: Numbers) -> float:
    """Of two answers of different length, how often is the shorter forecast to be the shorter; ties count one half.

    Formula: (right + forecast ties / 2) / pairs of different truth. Unit: share. Source: SSJF (arXiv:2404.08509).
    """
    p = pairs(forecast, truth)
    differing = p.all - p.truth_equal
    tied = p.forecast_equal - p.both_equal
    return (differing - p.wrong - tied / 2) / differing if differing else math.nan


def spearman(forecast: Numbers, truth: Numbers) -> float:
    """Correlation of ranks, equal values sharing their mean rank; `nan` if one never differs.

    Formula: Pearson's correlation of the ranks. Unit: correlation. Source: Spearman, 1904.
    """
    if not len(truth):
        return math.nan
    a, b = (ranks - ranks.mean() for ranks in (_ranks(forecast), _ranks(truth)))
    scale = math.sqrt(float(np.dot(a, a)) * float(np.dot(b, b)))
    return float(np.clip(np.dot(a, b) / scale, -1, 1)) if scale else math.nan


def inversions(values: NDArray[np.int64]) -> int:
    """Pairs in falling order in a sequence of whole numbers from 0: a merge sort, level by level, that counts."""
    n = len(values)
    if n < 2:
        return 0
    top = int(values.max()) + 1
    size = 1 << (n - 1).bit_length()
    rows = np.full(size, top - 1, dtype=np.int64)  # what is added stands at the end and is not smaller
    rows[:n] = values
    count, width = 0, 1
    while width < size:
        blocks = rows.reshape(-1, 2, width)
        offset = np.arange(len(blocks), dtype=np.int64)[:, None] * top
        left, right = blocks[:, 0] + offset, blocks[:, 1] + offset
        not_greater = np.searchsorted(left.ravel(), right.ravel(), side="right")
        count += int((np.repeat(np.arange(1, len(blocks) + 1) * width, width) - not_greater).sum())
        width *= 2
        rows = np.sort(rows.reshape(-1, width), axis=1).ravel()
    return count


def _equal(values: NDArray[np.int64]) -> int:
    sizes = np.unique(values, return_counts=True)[1].astype(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _ranks(values: Numbers) -> NDArray[np.float64]:
    _, member, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[member])

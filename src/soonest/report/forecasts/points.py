"""How far off is a single number, and how often is the class right?

A cut answer counts with the length at which it was cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from soonest.core import SoonestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.report.forecasts.columns import Columns

    Numbers = NDArray[np.float64] | NDArray[np.int64]

PERCENTILES: Final = (25, 50, 75, 99)


@dataclass(frozen=True, slots=True)
class Training:
    """What is kept of the lengths that were learned from: their percentiles 25, 50, 75 and 99, and their mean."""

    edges: tuple[float, ...]
    mean: float

    @classmethod
    def of(cls, tokens: Sequence[int] | NDArray[np.int64]) -> Self:
        """From all of them.

        Raises:
            SoonestError: there is none.
        """
        if not len(tokens):
            raise SoonestError("measures need the lengths that were learned from, got none")
        edges = np.percentile(np.asarray(tokens), PERCENTILES)
        return cls(tuple(edges.tolist()), float(np.mean(tokens)))

    @property
    def median(self) -> float:
        """The constant forecast to beat."""
        return self.edges[1]

    def classes(self, tokens: Numbers) -> NDArray[np.int64]:
        """The class of each length, 0 to 4: how many edges it exceeds."""
        return np.asarray(np.searchsorted(np.asarray(self.edges), tokens, side="left"))

    def likeliest(self, forecasts: Columns) -> NDArray[np.int64]:
        """The most probable class of each forecast, the lower of equal ones; an unknown one's is the median's."""
        below = [np.zeros(len(forecasts)), *(forecasts.below(edge) for edge in self.edges), np.ones(len(forecasts))]
        likeliest = np.diff(np.column_stack(below), axis=1).argmax(axis=1)
        return np.asarray(np.where(forecasts.known, likeliest, self.classes(np.array([self.median]))[0]))


def mae(forecast: Numbers, truth: Numbers) -> float:
    """Mean absolute error of the forecast's median; an unknown forecast's is the training median.

    Formula: mean(|median - length|). Unit: tokens. Source: SSJF (arXiv:2404.08509).
    """
    return float(np.abs(forecast - truth).mean()) if len(truth) else math.nan


def rmse(forecast: Numbers, truth: Numbers) -> float:
    """Root mean squared error of the forecast's median; an unknown forecast's is the training median.

    Formula: sqrt(mean((median - length)^2)). Unit: tokens. Source: SSJF (arXiv:2404.08509).
    """
    return math.sqrt(float(np.square(forecast - truth).mean())) if len(truth) else math.nan


def accuracy(forecast: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Share of answers in the forecast's most probable class; classes end at the training percentiles 25, 50, 75, 99.

    Formula: mean(class = forecast class). Unit: share. Source: SSJF (arXiv:2404.08509).
    """
    return float((forecast == truth).mean()) if len(truth) else math.nan


def macro_f1(forecast: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """F1 of each class, averaged over the classes that occur, true or forecast.

    Formula: mean over classes of 2 hits / (forecast + true). Unit: share. Source: SSJF (arXiv:2404.08509).
    """
    if not len(truth):
        return math.nan
    hits = np.bincount(truth[forecast == truth], minlength=5)
    sizes = np.bincount(forecast, minlength=5) + np.bincount(truth, minlength=5)
    return float((2 * hits[sizes > 0] / sizes[sizes > 0]).mean())

"""What an evaluation of 20 runs a point finds, and how far such evaluations lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RUNS: Final = 20
"""Runs a point in the authors' evaluation."""
RESAMPLES: Final = 4000


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all runs, and the 95 % interval of the same figure from 20 runs a point."""

    value: float
    low: float
    high: float

    def holds(self, other: float, decimals: int) -> bool:
        """Whether a figure given with so many decimals lies inside."""
        slack = 0.5 * 10.0**-decimals
        return self.low - slack <= other <= self.high + slack

    def text(self, decimals: int) -> str:
        """`43.7 (41.9 to 45.1)`."""
        return f"{self.value:.{decimals}f} ({self.low:.{decimals}f} to {self.high:.{decimals}f})"


def gain(jct: Floats, base: Floats) -> Spread:
    """How much smaller a mean JCT is, in per cent: of means over points, as the authors' plotting script computes it.

    Both have shape (points, repetitions) and hold the same jobs.
    """
    spread = _ratio(jct, base)
    return Spread(100 * (1 - spread.value), 100 * (1 - spread.high), 100 * (1 - spread.low))


def factor(throughput: Floats, base: Floats) -> Spread:
    """How many times as high a throughput is, of means over points, as the authors compute it."""
    return _ratio(throughput, base)


def mean(values: Floats) -> Spread:
    """A mean over points."""
    low, high = np.percentile(_resampled(values), (2.5, 97.5))
    return Spread(float(values.mean()), float(low), float(high))


def _ratio(values: Floats, base: Floats) -> Spread:
    low, high = np.percentile(_resampled(values) / _resampled(base), (2.5, 97.5))
    return Spread(float(values.mean() / base.mean()), float(low), float(high))


def _resampled(values: Floats) -> Floats:
    """Means of evaluations of 20 runs a point, drawn from all runs; the same draws for arrays of one shape."""
    points, repetitions = values.shape
    generator = np.random.default_rng(0)
    drawn = np.zeros(RESAMPLES)
    for row in values:
        drawn += row[generator.integers(repetitions, size=(RESAMPLES, RUNS))].mean(axis=1)
    return np.asarray(drawn / points, dtype=np.float64)

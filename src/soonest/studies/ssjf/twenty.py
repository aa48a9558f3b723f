"""What an evaluation of 20 runs a point finds, and where another such evaluation is to be expected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RUNS: Final = 20
"""Runs a point in the authors' evaluation."""
RESAMPLES: Final = 4000


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all runs, and the interval in which 95 % of such figures from 20 other runs a point lie."""

    value: float
    low: float
    high: float

    def holds(self, other: float, decimals: int) -> bool:
        """Whether a figure given with so many decimals lies inside."""
        slack = 0.5 * 10.0**-decimals
        return self.low - slack <= other <= self.high + slack

    def texts(self, decimals: int) -> tuple[str, str]:
        """`43.7` and `41.9 to 45.1`."""
        return f"{self.value:.{decimals}f}", f"{self.low:.{decimals}f} to {self.high:.{decimals}f}"

    def text(self, decimals: int) -> str:
        """`43.7 (41.9 to 45.1)`."""
        return "{} ({})".format(*self.texts(decimals))


def span(values: Iterable[float], decimals: int = 1) -> str:
    """`16.0 to 79.2`: the lowest and the highest, or what both are."""
    found = list(values)
    low, high = f"{min(found):.{decimals}f}", f"{max(found):.{decimals}f}"
    return low if low == high else f"{low} to {high}"


def gain(jct: Floats, base: Floats) -> Spread:
    """How much smaller a mean JCT is, in per cent: of means over points, as the authors' plotting script computes it.

    Both have shape (points, repetitions) and hold the same jobs.
    """
    spread = factor(jct, base)
    return Spread(100 * (1 - spread.value), 100 * (1 - spread.high), 100 * (1 - spread.low))


def factor(throughput: Floats, base: Floats) -> Spread:
    """How many times as high a throughput is, of means over points, as the authors compute it."""
    value = float(throughput.mean() / base.mean())
    return _spread(value, _resampled(throughput) / _resampled(base), throughput.shape[1])


def mean(values: Floats) -> Spread:
    """A mean over points."""
    return _spread(float(values.mean()), _resampled(values), values.shape[1])


def _spread(value: float, resampled: Floats, repetitions: int) -> Spread:
    """The figure itself is known from so many runs only, which widens the interval of another one."""
    low, high = np.percentile(resampled, (2.5, 97.5))
    wider = math.sqrt(1 + RUNS / repetitions)
    return Spread(value, value - wider * (value - float(low)), value + wider * (float(high) - value))


def _resampled(values: Floats) -> Floats:
    """Means of evaluations of 20 runs a point, drawn from all runs; the same draws for arrays of one shape."""
    points, repetitions = values.shape
    generator = np.random.default_rng(0)
    drawn = np.zeros(RESAMPLES)
    for row in values:
        drawn += row[generator.integers(repetitions, size=(RESAMPLES, RUNS))].mean(axis=1)
    return np.asarray(drawn / points, dtype=np.float64)

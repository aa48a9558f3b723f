"""Gaps between tokens as a histogram: a long run has too many to keep."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from soonest.core import SoonestError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """Inter-token latency: the gaps between one token and the next, of all requests together.

    `counts[i]` gaps lie between `edges_s[i]` and `edges_s[i + 1]` seconds. They are taken as spread evenly inside
    their bin, so a number read from here is wrong by at most its bin's relative width, (high - low) / low.

    Formula: gaps between successive tokens, pooled. Unit: s. Source: vLLM bench, ITL.

    Raises:
        SoonestError: edges do not increase from 0 or more, or a count is missing or negative.
    """

    edges_s: NDArray[np.float64]
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        edges = self.edges_s
        if len(edges) != len(self.counts) + 1 or not len(self.counts) or (self.counts < 0).any():
            raise SoonestError(f"{len(edges)} edges need one count fewer, none negative; got {len(self.counts)} counts")
        if not (edges[0] >= 0 and np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
            raise SoonestError("edges must be finite seconds that increase from 0 or more")

    @classmethod
    def geometric(cls, low_s: float = 1e-4, high_s: float = 1e3, bins: int = 1610) -> Self:
        """No gap yet, in bins of equal relative width: 1 % as given.

        Raises:
            SoonestError: the range is empty or starts at 0.
        """
        if not 0 < low_s < high_s or bins < 1:
            raise SoonestError(f"need 0 < low_s < high_s and a bin, got {low_s}, {high_s} and {bins} bins")
        return cls(np.geomspace(low_s, high_s, bins + 1), np.zeros(bins, dtype=np.int64))

    def add(self, gaps_s: NDArray[np.float64]) -> Self:
        """With these gaps too; those beyond the edges count in the outermost bins."""
        bins = np.searchsorted(self.edges_s, gaps_s, side="right") - 1
        bins = np.clip(bins, 0, len(self.counts) - 1)
        return replace(self, counts=self.counts + np.bincount(bins, minlength=len(self.counts)))

    def merge(self, other: Gaps) -> Self:
        """Both histograms as one.

        Raises:
            SoonestError: their edges differ.
        """
        if not np.array_equal(self.edges_s, other.edges_s):
            raise SoonestError("only histograms with the same edges merge: build both with the same bins")
        return replace(self, counts=self.counts + other.counts)

    @property
    def total(self) -> int:
        """How many gaps."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Mean gap in seconds: bins weighted by their middle; its error is below a bin's relative width."""
        if not self.total:
            return math.nan
        return float(self.counts @ (self.edges_s[:-1] + self.edges_s[1:]) / (2 * self.total))

    @property
    def std(self) -> float:
        """Standard deviation in seconds over all gaps; the spread inside a bin counts as even."""
        if not self.total:
            return math.nan
        low, high = self.edges_s[:-1] - self.mean, self.edges_s[1:] - self.mean
        return math.sqrt(float(self.counts @ (low * low + low * high + high * high)) / (3 * self.total))

    def percentile(self, percent: float) -> float:
        """The gap in seconds that this share of all gaps does not exceed, linear inside a bin."""
        if not self.total:
            return math.nan
        below = np.concatenate(([0], np.cumsum(self.counts)))
        rank = percent / 100 * self.total
        inside = int(np.searchsorted(below, rank, side="left")) - 1
        inside = int(np.flatnonzero(self.counts)[0]) if inside < 0 else inside
        share = (rank - below[inside]) / self.counts[inside]
        return float(self.edges_s[inside] + share * (self.edges_s[inside + 1] - self.edges_s[inside]))

"""Running quantiles of lengths that forget, with answers cut short taken for what they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from soonest.predict.quantiles import LEVELS, LONGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STEP: Final = math.log(1.04)
BINS: Final = int(math.log(LONGEST) / STEP) + 2
EDGES: Final = np.exp(STEP * np.arange(BINS + 1))
HUGE: Final = 1e100
PATIENCE: Final = 64
"""Answers between two readings of the quantiles, once there are several times as many."""


class Lengths:
    """Counts in bins 4 % wide: O(1) an answer, and as much memory for ten answers as for ten million.

    The newest answer weighs 1 and each older one a little less than the next: together they weigh at most `window`.
    An answer that was cut is at least as long; the law of all is Kaplan and Meier's estimate (1958).
    """

    __slots__ = ("_cut", "_ended", "_law", "_quantiles", "_since", "_weight", "count", "window")

    def __init__(self, window: float = 2000.0) -> None:
        self.window = window
        self.count = 0
        self._ended = np.zeros(BINS)
        self._cut = np.zeros(BINS)
        self._weight = 1.0
        self._since = 0
        self._quantiles: list[float] | None = None
        self._law: tuple[int, NDArray[np.float64]] | None = None

    def add(self, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002 - the answer's kind
        """Take one answer in."""
        (self._cut if censored else self._ended)[_bin(tokens)] += self._weight
        self._weight *= self.window / (self.window - 1)
        self.count += 1
        self._since += 1
        if self._since >= min(PATIENCE, 1 + self.count // 8):
            self._quantiles = None
        if self._weight > HUGE:
            self._ended /= self._weight
            self._cut /= self._weight
            self._weight = 1.0

    def extend(self, tokens: Sequence[int], censored: Sequence[bool]) -> Self:
        """Take several answers in, all alike: the order of a file is no order in time."""
        share = min(1.0, self.window / max(1, len(tokens)))
        self._weight *= share
        for count, cut in zip(tokens, censored, strict=True):
            (self._cut if cut else self._ended)[_bin(count)] += self._weight
        self._weight *= self.window / (self.window - 1) / share
        self.count += len(tokens)
        self._quantiles = None
        return self

    @property
    def weight(self) -> float:
        """What all answers weigh together, when the newest weighs 1."""
        newest = self._weight * (self.window - 1) / self.window
        return float(self._ended.sum() + self._cut.sum()) / newest

    def law(self) -> NDArray[np.float64]:
        """The share of answers in each bin, of shape (BINS,); what outlives all that ended lies in the last bin met."""
        if self._law is None or self._law[0] != self.count:
            self._law = self.count, self._kaplan_meier()
        return self._law[1]

    def _kaplan_meier(self) -> NDArray[np.float64]:
        both = self._ended + self._cut
        risk = both[::-1].cumsum()[::-1]
        alive = np.cumprod(1 - np.divide(self._ended, risk, out=np.zeros(BINS), where=risk > 0))
        share = -np.diff(alive, prepend=1.0)
        if risk[0] > 0:
            share[int(np.flatnonzero(both)[-1])] += alive[-1]
        return np.asarray(share)

    def quantiles(self) -> list[float]:
        """Token counts at `LEVELS`; read anew when enough answers have come."""
        if self._quantiles is None:
            self._quantiles = quantiles_of(self.law())
            self._since = 0
        return self._quantiles

    def state(self) -> NDArray[np.float64]:
        """All that is known, of shape (2, BINS + 1): weights of ended and cut answers, the next weight, the count."""
        return np.column_stack([np.stack([self._ended, self._cut]), [self._weight, float(self.count)]])

    @classmethod
    def restored(cls, window: float, state: NDArray[np.generic]) -> Self:
        """From what `state` gave; raises `ValueError` for what it never gives."""
        found = np.asarray(state, dtype=np.float64)
        if found.shape != (2, BINS + 1) or not np.isfinite(found).all() or (found < 0).any() or found[0, BINS] <= 0:
            raise ValueError("is no histogram of lengths of this version")
        made = cls(window)
        made._ended, made._cut = found[0, :BINS].copy(), found[1, :BINS].copy()
        made._weight, made.count = float(found[0, BINS]), int(found[1, BINS])
        return made


def _bin(tokens: int) -> int:
    return int(math.log(min(max(tokens, 1), LONGEST)) / STEP)


def quantiles_of(law: NDArray[np.float64]) -> list[float]:
    """Token counts at `LEVELS` for a law over the bins; a bin's answers are spread evenly over it."""
    below = np.concatenate([[0.0], np.cumsum(law)])
    if below[-1] <= 0:
        return [1.0] * len(LEVELS)
    levels = np.asarray(LEVELS) * below[-1]
    some = np.flatnonzero(law)
    place = np.minimum(np.maximum(np.searchsorted(below, levels, side="left") - 1, some[0]), some[-1])
    share = np.clip((levels - below[place]) / np.maximum(law[place], 1e-300), 0, 1)
    last = np.maximum(EDGES[place + 1] - 1, EDGES[place])
    counts: list[float] = (EDGES[place] + share * (last - EDGES[place])).tolist()
    return counts

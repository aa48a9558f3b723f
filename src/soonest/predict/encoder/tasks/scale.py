"""From a score without a unit to lengths in tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.predict.quantiles import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BINS: Final = 20
BIN: Final = 25  # answers in a bin, at least
TILT: Final = 0.01  # what a score moves lengths where the bins see no difference: at most one per cent


class Scale:
    """What lengths had the answers of similar score, among answers that the scores were not learned from.

    Scores are cut into up to 20 bins of equal count; each bin's quantiles at `LEVELS` are made to rise with the score,
    and are linear between the bins' mean scores. A higher score is always a longer forecast, if only by a little.
    """

    __slots__ = ("knots", "rows", "spread")

    def __init__(self, knots: NDArray[np.float64], rows: NDArray[np.float64], spread: NDArray[np.float64]) -> None:
        self.knots = knots
        self.rows = rows
        self.spread = spread

    @classmethod
    def fitted(cls, scores: NDArray[np.float64], tokens: NDArray[np.float64]) -> Scale:
        """From scores and lengths in tokens, both of shape (n,), n > 0."""
        bins = int(np.clip(len(scores) // BIN, 1, MOST_BINS))
        before = np.searchsorted(np.sort(scores), scores)  # equal scores go into the same bin
        number = before * bins // len(scores)
        inside = [number == i for i in np.unique(number)]
        knots = np.array([scores[some].mean() for some in inside])
        rows = np.array([np.quantile(tokens[some], LEVELS) for some in inside])
        spread = np.array([np.median(scores), max(float(scores.std()), 1e-6)])
        return cls(knots, rising(rows), spread)

    def read(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of token counts at `LEVELS`, of shape (n, 15), for scores of shape (n,)."""
        rows = np.stack([np.interp(scores, self.knots, column) for column in self.rows.T], axis=1)
        away = (scores - self.spread[0]) / self.spread[1]
        tilt = 1 + TILT * away / (1 + np.abs(away))
        return np.asarray(np.maximum(rows, 1.0) * tilt[:, None])


def rising(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column made to rise: halfway between its running maximum and the running minimum from its end."""
    above = np.maximum.accumulate(rows, axis=0)
    below = np.minimum.accumulate(rows[::-1], axis=0)[::-1]
    return np.asarray((above + below) / 2)

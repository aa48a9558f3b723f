"""Forecasts as arrays, so that measures of many need no loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.core import Forecast


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """n forecasts: `levels` and `tokens` of shape (n, k), infinite beyond a row's `sizes`; the rest of shape (n,).

    `promised` is `nan` for an interval without a promise.
    """

    levels: NDArray[np.float64]
    tokens: NDArray[np.float64]
    sizes: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    expected: NDArray[np.float64]
    promised: NDArray[np.float64]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, forecasts: Sequence[Forecast]) -> Self:
        """From forecasts, in order."""
        widest = max((len(f.levels) for f in forecasts), default=2)
        padding = (np.inf,) * widest
        promised = (np.nan if f.coverage is None else f.coverage for f in forecasts)
        return cls(
            np.array([(*f.levels, *padding)[:widest] for f in forecasts], dtype=np.float64).reshape(-1, widest),
            np.array([(*f.tokens, *padding)[:widest] for f in forecasts], dtype=np.float64).reshape(-1, widest),
            np.array([len(f.levels) for f in forecasts], dtype=np.int64),
            np.array([f.low for f in forecasts], dtype=np.int64),
            np.array([f.high for f in forecasts], dtype=np.int64),
            np.array([f.expected for f in forecasts], dtype=np.float64),
            np.fromiter(promised, np.float64, len(forecasts)),
            np.array([f.known for f in forecasts], dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, rows: NDArray[np.bool_]) -> Columns:
        """These rows."""
        columns = (self.levels, self.tokens, self.sizes, self.low, self.high, self.expected, self.promised, self.known)
        return Columns(*(column[rows] for column in columns))  # type: ignore[arg-type]

    def quantile(self, level: float) -> NDArray[np.float64]:
        """`Forecast.quantile` of each."""
        right = np.minimum((self.levels <= level).sum(axis=1), self.sizes - 1)
        (a, b), (s, t) = self._ends(self.levels, right), self._ends(self.tokens, right)
        return np.asarray(s + (t - s) * (level - a) / (b - a))

    def below(self, tokens: float) -> NDArray[np.float64]:
        """`Forecast.below` of each."""
        reached = (self.tokens <= tokens).sum(axis=1)
        right = np.clip(reached, 1, self.sizes - 1)
        (a, b), (s, t) = self._ends(self.levels, right), self._ends(self.tokens, right)
        inside = (reached > 0) & (reached < self.sizes)
        share = np.divide(tokens - s, t - s, out=np.zeros(len(self)), where=inside)
        return np.where(inside, a + (b - a) * share, np.where(reached == 0, 0.0, 1.0))

    def _ends(
        self, column: NDArray[np.float64], right: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = np.arange(len(self))
        return column[rows, right - 1], column[rows, right]

"""Corrections to forecasts, by how long they say an answer will be."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.predict.stream.residuals import FEW, weighted_quantiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

ENOUGH: Final = 40
"""Answers in a stratum from which on it speaks for itself."""


class Row(NamedTuple):
    """One answer beside its forecast: logs of the forecast's quantiles, log of the answer, and whether it was cut."""

    quantiles: NDArray[np.float64]
    answer: float
    cut: bool


class Calibrator:
    """The last answers of each stratum of forecast length, and what their forecasts should have said.

    An answer's residual at a level is log(1 + tokens) less log(1 + the forecast's quantile there); its quantile at the
    same level is the correction. Strata matter because a queue that serves the short first has seen few answers of
    those forecast to be long: within a stratum, who has been served hardly depends on the answer. The newest row
    weighs 1, one `window` rows older 1/e.
    """

    def __init__(self, levels: Sequence[float], strata: int, window: int) -> None:
        self.levels = tuple(levels)
        self.window = window
        self.count = 0
        self._rows: list[deque[Row]] = [deque(maxlen=2 * window) for _ in range(strata)]
        self._shifts: list[NDArray[np.float64] | None] = [None] * strata
        self._since = [0] * strata

    def add(self, stratum: int, row: Row) -> None:
        """One answer more."""
        rows = self._rows[stratum]
        rows.append(row)
        self.count += 1
        self._since[stratum] += 1
        if self._since[stratum] > min(len(rows), self.window) // 16:
            self.stale(stratum)

    def stale(self, stratum: int) -> None:
        """Have its correction computed anew when next asked for."""
        self._shifts[stratum] = None
        self._since[stratum] = 0

    def shifts(self, stratum: int, running: Iterable[Row] = ()) -> NDArray[np.float64] | None:
        """The correction of log quantiles, of shape (levels,), or `None` while too few answers are known.

        `running` are requests of the stratum that have not ended: cut at what they have generated.
        """
        found = self._shifts[stratum]
        if found is None:
            rows = list(self._rows[stratum])
            if len(rows) < ENOUGH:
                rows = [row for several in self._rows for row in several]
            if len(rows) < FEW:
                return None
            age = np.arange(len(rows))[::-1] / self.window
            weights = [np.exp(-np.minimum(age, 50.0))]
            unfinished = list(running)
            weights.append(np.ones(len(unfinished)))
            rows += unfinished
            logs = np.array([row.answer for row in rows])
            residuals = logs[:, None] - np.stack([row.quantiles for row in rows])
            cut = np.array([row.cut for row in rows], dtype=np.bool_)
            found = weighted_quantiles(residuals, cut, np.concatenate(weights), self.levels)
            self._shifts[stratum] = found
        return found

    def rows(self) -> list[tuple[int, Row]]:
        """All answers held, with their strata, oldest first within each."""
        return [(stratum, row) for stratum, rows in enumerate(self._rows) for row in rows]

"""Corrections to forecasts, by how long they say an answer will be."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.predict.stream.residuals import interval_levels, residual_quantiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

FEW: Final = 20
"""Answers below which no quantile of them is trusted; more where the coverage needs more."""
PROBE: Final = 50
"""The last answers that are held against the promise."""
SURPRISE: Final = 3.5
"""Standard deviations below the promise at which older answers no longer count."""


class Row(NamedTuple):
    """One answer beside its forecast: logs of the forecast's quantiles, log of the answer, and whether it was cut."""

    quantiles: NDArray[np.float64]
    answer: float
    cut: bool


class Calibrator:
    """The last answers of each stratum of forecast length, and what their forecasts should have said.

    An answer's residual at a level is log(1 + tokens) less log(1 + the forecast's quantile there); its quantile at the
    same level is the correction. Strata matter because a queue that serves the short first has seen few answers of
    those forecast to be long: within a stratum, who has been served hardly depends on the answer.

    The last `window` answers of a stratum count alike, until too few of the last `PROBE` lie within what was promised:
    then those alone count. The last two of `levels` are the ends of that interval.
    """

    def __init__(self, levels: Sequence[float], strata: int, window: int) -> None:
        self.levels = (*levels,)
        self.few = max(FEW, math.ceil(2 / (1 - (self.levels[-1] - self.levels[-2]))) - 1)
        self.window = max(window, 2 * self.few)
        self.count = 0
        self._rows: list[deque[Row]] = [deque(maxlen=self.window) for _ in range(strata)]
        self._inside: list[deque[bool]] = [deque(maxlen=PROBE) for _ in range(strata)]
        self._shifts: list[NDArray[np.float64] | None] = [None] * strata
        self._tops = [-math.inf] * strata
        self._since = [0] * strata

    def top(self, stratum: int) -> float:
        """Log of the longest answer known, where so many are cut that the interval has no other upper end; else -inf.

        Of all strata: what cuts answers, a limit, hardly asks how long they were expected to be.
        """
        return self._tops[stratum]

    def add(self, stratum: int, row: Row) -> None:
        """One answer more."""
        self._rows[stratum].append(row)
        self.count += 1
        self._since[stratum] += 1
        shifts = self._shifts[stratum]
        if shifts is not None and self._surprised(stratum, row, shifts):
            self._rows[stratum] = deque(list(self._rows[stratum])[-max(PROBE, 2 * self.few) :], maxlen=self.window)
            self._inside[stratum].clear()
            self.stale(stratum)
        if self._since[stratum] > len(self._rows[stratum]) // 16:
            self.stale(stratum)

    def stale(self, stratum: int) -> None:
        """Have its correction computed anew when next asked for."""
        self._shifts[stratum] = None
        self._since[stratum] = 0

    def speaks(self, stratum: int) -> bool:
        """Whether a stratum has answers enough to speak for itself."""
        return len(self._rows[stratum]) >= 2 * self.few

    def shifts(self, stratum: int, running: Callable[[], list[Row]] = list) -> NDArray[np.float64] | None:
        """The correction of log quantiles, of shape (levels,), or `None` while too few answers are known.

        A stratum that does not speak for itself gets the correction of all together. `running` gives requests of the
        stratum that have not ended, cut at what they have generated; it is asked when a correction is computed.
        """
        found = self._shifts[stratum]
        if found is None:
            rows = list(self._rows[stratum])
            if not self.speaks(stratum):
                rows = [row for several in self._rows for row in several]
            if len(rows) < self.few:
                return None
            rows += running()
            residuals = np.array([row.answer for row in rows])[:, None] - np.stack([row.quantiles for row in rows])
            cut = np.array([row.cut for row in rows], dtype=np.bool_)
            ends = interval_levels(residuals[:, -1], cut, (self.levels[-2], self.levels[-1]))
            reached = ends[1] < 1
            self._tops[stratum] = -math.inf if reached else self._longest(rows)
            found = self._shifts[stratum] = residual_quantiles(residuals, cut, (*self.levels[:-2], *ends))
        return found

    def rows(self) -> list[tuple[int, Row]]:
        """All answers held, with their strata, oldest first within each."""
        return [(stratum, row) for stratum, rows in enumerate(self._rows) for row in rows]

    def _longest(self, rows: Sequence[Row]) -> float:
        """Log of the longest answer of these and of all held."""
        return max(row.answer for several in (rows, *self._rows) for row in several)

    def _surprised(self, stratum: int, row: Row, shifts: NDArray[np.float64]) -> bool:
        """Whether so few of the last answers lie within the interval as chance hardly ever has it."""
        inside = self._inside[stratum]
        low, high = row.quantiles[-2:] + shifts[-2:]
        high = self._tops[stratum] if self._tops[stratum] > -math.inf else high
        inside.append(bool(row.answer <= high and (row.cut or low <= row.answer)))
        if len(inside) < PROBE:
            return False
        promised = self.levels[-1] - self.levels[-2]
        return bool(sum(inside) < PROBE * promised - SURPRISE * (PROBE * promised * (1 - promised)) ** 0.5)

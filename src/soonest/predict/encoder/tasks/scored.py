"""Tasks on the length itself, on its class as a number, or on its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from soonest.predict.encoder.tasks.scale import Scale
from soonest.predict.encoder.tasks.task import LOG, Task
from soonest.predict.quantiles import LEVELS, LONGEST, forecast, quantile_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.core import Forecast
    from soonest.predict.encoder.tasks.task import Arrays, Floats

PINBALL_LEVELS: Final = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.98)


class Valued(Task):
    """A task on lengths themselves, in standard units of the training split."""

    saved: ClassVar[Mapping[str, tuple[str, int]]] = {"unit": ("f", 1)}
    unit: Floats

    def learn(self, tokens: Floats) -> None:
        """Mean and standard deviation."""
        values = self._values(tokens)
        self.unit = np.array([values.mean(), max(float(values.std()), 1e-3)])

    def targets(self, tokens: Floats) -> Floats:
        """Standard deviations from the mean."""
        return np.asarray((self._values(tokens) - self.unit[0]) / self.unit[1])

    def tokens(self, outputs: Floats) -> Floats:
        """Outputs in tokens, at least 0."""
        values = outputs * self.unit[1] + self.unit[0]
        if self.target == LOG:
            values = np.expm1(np.minimum(values, np.log(LONGEST)))
        return np.asarray(np.clip(values, 0, LONGEST))

    def restore(self, arrays: Arrays) -> None:
        """A mean and a deviation."""
        super().restore(arrays)
        if self.unit.shape != (2,) or self.unit[1] <= 0:
            raise ValueError("'unit' is not a mean and a deviation")

    def _values(self, tokens: Floats) -> Floats:
        return np.log1p(tokens) if self.target == LOG else tokens


class Quantile(Valued):
    """Nine quantiles by pinball loss; they never cross."""

    name = "quantile"
    losses = ("pinball",)
    rising = True

    @property
    def width(self) -> int:
        """One output a level."""
        return len(PINBALL_LEVELS)

    def scores(self, outputs: Floats) -> Floats:
        """The mean over the quantiles, in tokens."""
        return np.asarray(quantile_rows(self.tokens(outputs), PINBALL_LEVELS).mean(axis=1))

    def forecasts(self, outputs: Floats, limits: Sequence[int]) -> list[Forecast]:
        """The quantiles."""
        rows = quantile_rows(self.tokens(outputs), PINBALL_LEVELS).tolist()
        return [forecast(row, limit) for row, limit in zip(rows, limits, strict=True)]


class Scored(Valued):
    """A task with one output; what lengths belong to it is learned from answers that were not trained on."""

    saved: ClassVar[Mapping[str, tuple[str, int]]] = {
        **Valued.saved,
        "knots": ("f", 1),
        "rows": ("f", 2),
        "spread": ("f", 1),
    }
    knots: Floats
    rows: Floats
    spread: Floats

    def scores(self, outputs: Floats) -> Floats:
        """The output."""
        return outputs[:, 0]

    def calibrate(self, outputs: Floats, tokens: Floats) -> None:
        """Quantiles of lengths by score."""
        scale = Scale.fitted(self.scores(outputs), tokens)
        self.knots, self.rows, self.spread = scale.knots, scale.rows, scale.spread

    def forecasts(self, outputs: Floats, limits: Sequence[int]) -> list[Forecast]:
        """The lengths of answers with such a score."""
        rows = Scale(self.knots, self.rows, self.spread).read(self.scores(outputs)).tolist()
        return [forecast(row, limit) for row, limit in zip(rows, limits, strict=True)]

    def restore(self, arrays: Arrays) -> None:
        """Knots in order, with a row each."""
        super().restore(arrays)
        if self.rows.shape != (len(self.knots), len(LEVELS)) or not len(self.knots) or self.spread.shape != (2,):
            raise ValueError("'knots' and 'rows' are of other shapes")
        if (np.diff(self.knots) < 0).any() or self.spread[1] <= 0:
            raise ValueError("'knots' fall")


class RegressionL1(Scored):
    """Mean absolute error."""

    name = "regression-l1"
    losses = ("l1",)


class RegressionMSE(Scored):
    """Mean squared error."""

    name = "regression-mse"
    losses = ("mse",)


class Pairwise(Scored):
    """Which of two answers of a batch is longer; only the order is learned."""

    name = "pairwise"
    losses = ("logistic", "margin")


class Listwise(Scored):
    """The order of a whole batch, the shortest answer first; only the order is learned."""

    name = "listwise"
    losses = ("listmle", "listnet")


class OrdinalBinary(Scored):
    """Regression on the index of one of two classes, cut at the median."""

    name = "ordinal-binary"
    losses = ("l1", "mse")
    percentiles: ClassVar[tuple[int, ...]] = (50,)
    saved: ClassVar[Mapping[str, tuple[str, int]]] = {**Scored.saved, "cuts": ("f", 1)}
    cuts: Floats

    def learn(self, tokens: Floats) -> None:
        """Where the classes meet."""
        super().learn(tokens)
        self.cuts = np.percentile(tokens, self.percentiles)

    def targets(self, tokens: Floats) -> Floats:
        """The class, counted from 0."""
        return np.searchsorted(self.cuts, tokens).astype(np.float64)


class OrdinalMulticlass(OrdinalBinary):
    """Regression on the index of one of five classes."""

    name = "ordinal-multiclass"
    percentiles = (25, 50, 75, 99)

"""Intervals that keep their promise: any predictor's quantiles, corrected by its own errors."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from soonest.core import PredictorError
from soonest.predict import folder as folders
from soonest.predict.predictor import Predictor, columns
from soonest.predict.quantiles import LEVELS, LONGEST, forecast
from soonest.predict.split import split_by_conversation
from soonest.predict.stream import Calibrator, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.core import Forecast, Prompt

MOST_OPEN: Final = 100_000
"""Forecasts whose answers are still awaited; the oldest are given up beyond."""
MOST_GROUPS: Final = 32
"""Models and tenants with calibrations of their own."""
INNER: Final = LEVELS[1:-1]
WHOLE: Final = ("", "")


class Conformal(Predictor):
    """Any predictor with calibrated quantiles: `coverage` of answers lie between `low` and `high`.

    Conformalised quantile regression (Romano, Patterson, Candès, 2019, arXiv:1905.03222) on the log of lengths, level
    by level and separately for `strata` of forecast length (Mondrian; Vovk, 2012, arXiv:1209.2673). `fit` keeps `share`
    of the conversations for calibration. Later answers recalibrate it: the last `window` of each stratum count, those
    of the same model and tenant alone once there are `enough`.

    Under a policy that serves the short first, answers that have ended are the short ones. So strata are calibrated
    apart, and requests that run are counted as cut at what they have generated; those that wait are missing.
    """

    name = "conformal"
    source = "Romano, Patterson, Candès, 2019 (arXiv:1905.03222)"

    def __init__(
        self,
        base: Predictor,
        coverage: float = 0.9,
        window: int = 1000,
        strata: int = 5,
        share: float = 0.2,
        enough: int = 200,
        seed: int = 0,
    ) -> None:
        if not isinstance(base, Predictor):
            raise PredictorError(f"conformal wraps a predictor, such as conformal(text), got {base!r}")
        if not (0 < coverage < 1 and 0 < share < 1 and window >= 20 and 1 <= strata <= 50 and enough >= 20):
            raise PredictorError(
                "conformal needs coverage and share in (0, 1), window and enough >= 20, and strata in 1..50"
            )
        self.base, self.coverage, self.window, self.strata = base, coverage, window, strata
        self.share, self.enough, self.seed = share, enough, seed
        tail = (1 - coverage) / 2
        self._levels = (*INNER, tail, 1 - tail)
        self.edges_: NDArray[np.float64] = np.zeros(0)
        self._running: dict[int, list[Row]] = {}
        self._clear()

    @property
    def parameters(self) -> dict[str, object]:
        """What was given."""
        names = ("base", "coverage", "window", "strata", "share", "enough", "seed")
        return {name: getattr(self, name) for name in names}

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Self:
        """Fit the base on most conversations, and calibrate on the others."""
        prompts, counts, cut = columns(prompts, tokens, censored, least=2)
        learn, check = split_by_conversation(prompts, self.share, self.seed)
        self.base.fit([prompts[i] for i in learn], [counts[i] for i in learn], [cut[i] for i in learn])
        np.random.default_rng(self.seed).shuffle(check)  # a file's order is no order in time
        forecasts = self.base.predict([prompts[i] for i in check])
        expected = np.array([f.expected for f in forecasts if f.known])
        inner = np.arange(1, self.strata) / self.strata
        self.edges_ = np.quantile(expected, inner) if len(expected) else np.zeros(self.strata - 1)
        self._clear()
        for i, made in zip(check, forecasts, strict=True):
            if made.known:
                self._learn(self._asked(prompts[i], made), counts[i], cut[i])
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The base's forecasts, corrected; what it does not know stays unknown."""
        forecasts = self.base.predict(prompts)
        return [self._corrected(p, f) if f.known else f for p, f in zip(prompts, forecasts, strict=True)]

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002
        """Recalibrate by one answer; a prompt without an id, or one never asked about, is asked about now."""
        asked = self._open.pop(prompt.id, None) if prompt.id else None
        if asked is None:
            made = self.base.predict([prompt])[0]
            asked = self._asked(prompt, made) if made.known else None
        if asked is not None:
            self._learn(asked, tokens, censored)
        self.base.update(prompt, tokens, censored)

    def running(self, generated: Mapping[str, int]) -> None:
        """Requests that run count as cut at what they have generated."""
        self._running = {}
        for name, tokens in generated.items():
            asked = self._open.get(name)
            if asked is not None:
                row = Row(asked.quantiles, math.log1p(tokens), True)  # noqa: FBT003 - it is cut
                self._running.setdefault(asked.stratum, []).append(row)
        for stratum in self._running:
            for calibrator in self._calibrators.values():
                calibrator.stale(stratum)
        self.base.running(generated)

    def save_state(self, folder: Path) -> None:
        """Strata and the answers they hold; calibrations of single models and tenants are learned again."""
        rows = self._calibrators[WHOLE].rows()
        folders.write_arrays(
            folder,
            {
                "edges": self.edges_,
                "strata": np.array([stratum for stratum, _ in rows], dtype=np.int64),
                "cut": np.array([row.cut for _, row in rows], dtype=np.int64),
                "answers": np.array([row.answer for _, row in rows]),
                "quantiles": np.array([row.quantiles for _, row in rows]).reshape(len(rows), len(self._levels)),
            },
        )

    def load_state(self, folder: Path) -> None:
        """What was saved, if it fits the parameters."""
        shapes = {"edges": ("f", 1), "strata": ("i", 1), "cut": ("i", 1), "answers": ("f", 1), "quantiles": ("f", 2)}
        found = folders.read_arrays(folder, shapes)
        strata, n = found["strata"], len(found["strata"])
        sound = len(found["edges"]) in {0, self.strata - 1} and found["quantiles"].shape == (n, len(self._levels))
        if not sound or (n and not (strata.min() >= 0 and strata.max() < self.strata)):
            raise PredictorError(f"{folder / 'weights.npz'}: its arrays do not fit config.json")
        self.edges_ = np.asarray(found["edges"], dtype=np.float64)
        self._clear()
        columns_ = (found["quantiles"], found["answers"].tolist(), found["cut"].tolist())
        for stratum, *row in zip(strata.tolist(), *columns_, strict=True):
            self._calibrators[WHOLE].add(stratum, Row(np.asarray(row[0], np.float64), row[1], bool(row[2])))

    def _clear(self) -> None:
        self._calibrators: OrderedDict[tuple[str, str], Calibrator] = OrderedDict({WHOLE: self._calibrator()})
        self._open: OrderedDict[str, _Asked] = OrderedDict()
        self._running = {}

    def _calibrator(self) -> Calibrator:
        return Calibrator(self._levels, self.strata, self.window)

    def _asked(self, prompt: Prompt, made: Forecast) -> _Asked:
        counts = made.tokens[1:-1] if made.levels == LEVELS else [made.quantile(level) for level in INNER]
        ends = [made.quantile(level) for level in self._levels[-2:]]
        stratum = int(np.searchsorted(self.edges_, made.expected, side="right")) if len(self.edges_) else 0
        return _Asked(np.log1p([*counts, *ends]), stratum, (prompt.model, prompt.tenant))

    def _corrected(self, prompt: Prompt, made: Forecast) -> Forecast:
        asked = self._asked(prompt, made)
        if prompt.id:
            self._open[prompt.id] = asked
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        own = self._calibrators.get(asked.group)
        calibrator = own if own is not None and own.count >= self.enough else self._calibrators[WHOLE]
        shifts = calibrator.shifts(asked.stratum, self._running.get(asked.stratum, ()))
        if shifts is None:
            return forecast(_at_levels(made), prompt.max_tokens)
        least, most = (math.log1p(made.tokens[i]) + shifts[j] for i, j in ((0, 0), (-1, len(INNER) - 1)))
        logs = np.maximum.accumulate([least, *(asked.quantiles[:-2] + shifts[:-2]), most])
        low, high = np.expm1(asked.quantiles[-2:] + shifts[-2:])
        counts = np.expm1(np.minimum(logs, math.log1p(LONGEST))).tolist()
        return forecast(counts, prompt.max_tokens, self.coverage, (float(low), float(high)))

    def _learn(self, asked: _Asked, tokens: int, censored: bool) -> None:  # noqa: FBT001 - the answer's kind
        row = Row(asked.quantiles, math.log1p(tokens), censored)
        own = self._calibrators.get(asked.group)
        if own is None and asked.group != WHOLE:
            if len(self._calibrators) > MOST_GROUPS:
                del self._calibrators[next(group for group in self._calibrators if group != WHOLE)]
            own = self._calibrators[asked.group] = self._calibrator()
        if own is not None:
            own.add(asked.stratum, row)
            self._calibrators.move_to_end(asked.group)
        if asked.group != WHOLE:
            self._calibrators[WHOLE].add(asked.stratum, row)


class _Asked(NamedTuple):
    """What was forecast of a request whose answer is awaited: logs of its quantiles, its stratum, its group."""

    quantiles: NDArray[np.float64]
    stratum: int
    group: tuple[str, str]


def _at_levels(made: Forecast) -> Sequence[float]:
    return made.tokens if made.levels == LEVELS else [made.quantile(level) for level in LEVELS]

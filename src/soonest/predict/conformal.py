"""Intervals that keep their promise: any predictor's quantiles, corrected by its own errors."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import OrderedDict
from functools import lru_cache
from operator import add
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from soonest.core import PredictorError
from soonest.predict import folder as folders
from soonest.predict.predictor import Predictor, columns
from soonest.predict.quantiles import LEVELS, LONGEST, at_levels, forecast
from soonest.predict.split import split_by_conversation
from soonest.predict.stream import Awaited, Calibrator, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.core import Forecast, Prompt

MOST_GROUPS: Final = 32
"""Models and tenants with calibrations of their own."""
INNER: Final = LEVELS[1:-1]
WHOLE: Final = ("", "")
GROUPS: Final = "groups.json"
MOST: Final = math.log1p(LONGEST)
COLD: Final = 100
"""Forecasts from which strata are drawn where nothing was fitted."""


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
        self._calibrators: OrderedDict[tuple[str, str], Calibrator] = OrderedDict()
        self._open: Awaited[_Asked] = Awaited()
        self._running: dict[str, tuple[_Asked, int]] = {}
        self._first: list[float] = []
        self._clear()

    @property
    def quick(self) -> bool:
        """Whether what it wraps is."""
        return self.base.quick

    @property
    def learns(self) -> bool:
        """Whether what it wraps does: by itself it only corrects."""
        return self.base.learns

    @property
    def sees_as_text(self) -> bool:
        """Whether what it wraps needs no more."""
        return self.base.sees_as_text

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
        asked = self._open.take(prompt.id)
        self._running.pop(prompt.id, None)
        if asked is None:
            made = self.base.predict([prompt])[0]
            asked = self._asked(prompt, made) if made.known else None
        if asked is not None:
            self._learn(asked, tokens, censored)
        self.base.update(prompt, tokens, censored)

    def running(self, generated: Mapping[str, int]) -> None:
        """Requests that run count as cut at what they have generated."""
        before = self._running.values()
        found = ((name, self._open.get(name), tokens) for name, tokens in generated.items())
        self._running = {name: (asked, tokens) for name, asked, tokens in found if asked is not None}
        touched = {(asked.group, asked.stratum) for asked, _ in (*before, *self._running.values())}
        for group, stratum in touched:
            for level in levels_of(group):
                if level in self._calibrators:
                    self._calibrators[level].stale(stratum)
        self.base.running(generated)

    def save_state(self, folder: Path) -> None:
        """Strata, and the answers that each calibration holds."""
        kept = [(i, *row) for i, c in enumerate(self._calibrators.values()) for row in c.rows()]
        rows = [row for _, _, row in kept]
        folders.write_json(folder / GROUPS, {"groups": [list(group) for group in self._calibrators]})
        folders.write_arrays(
            folder,
            {
                "edges": self.edges_,
                "groups": np.array([i for i, _, _ in kept], dtype=np.int64),
                "strata": np.array([stratum for _, stratum, _ in kept], dtype=np.int64),
                "cut": np.array([row.cut for row in rows], dtype=np.int64),
                "answers": np.array([row.answer for row in rows], dtype=np.float64),
                "quantiles": np.array([row.quantiles for row in rows]).reshape(len(rows), len(self._levels)),
            },
        )

    def load_state(self, folder: Path) -> None:
        """What was saved, if it fits the parameters."""
        shapes = dict.fromkeys(("groups", "strata", "cut"), ("i", 1))
        found = folders.read_arrays(folder, {**shapes, "edges": ("f", 1), "answers": ("f", 1), "quantiles": ("f", 2)})
        names = _groups(folder / GROUPS)
        n, strata, groups = len(found["strata"]), found["strata"], found["groups"]
        sound = len(found["edges"]) in {0, self.strata - 1} and found["quantiles"].shape == (n, len(self._levels))
        sound = sound and all(len(found[key]) == n for key in ("groups", "cut", "answers"))
        if not sound or (n and not (strata.min() >= 0 and strata.max() < self.strata)):
            raise PredictorError(f"{folder / 'weights.npz'}: its arrays do not fit config.json")
        if n and not (groups.min() >= 0 and groups.max() < len(names)):
            raise PredictorError(f"{folder / GROUPS}: names fewer groups than weights.npz holds")
        self._clear()
        self.edges_ = np.asarray(found["edges"], dtype=np.float64)
        self._calibrators = OrderedDict((name, self._calibrator()) for name in names)
        made = list(self._calibrators.values())
        lists = [found[key].tolist() for key in ("groups", "strata", "answers", "cut")]
        for group, stratum, answer, cut, quantiles in zip(*lists, found["quantiles"], strict=True):
            made[group].add(stratum, Row(np.asarray(quantiles, np.float64), answer, bool(cut)))

    def _clear(self) -> None:
        self._calibrators = OrderedDict({WHOLE: self._calibrator()})
        self._open, self._running, self._first = Awaited(), {}, []

    def _calibrator(self) -> Calibrator:
        return Calibrator(self._levels, self.strata, self.window)

    def _asked(self, prompt: Prompt, made: Forecast) -> _Asked:
        counts = at_levels(made)[1:-1]
        ends = [made.quantile(level) for level in self._levels[-2:]]
        stratum = bisect_right(self.edges_, made.expected)
        return _Asked(
            np.array([*map(math.log1p, (*counts, *ends))]), stratum, (prompt.model, prompt.tenant), made.expected
        )

    def _corrected(self, prompt: Prompt, made: Forecast) -> Forecast:
        asked = self._asked(prompt, made)
        self._open.put(prompt.id, asked)
        level = next(level for level in levels_of(asked.group) if self._speaks(level, asked.stratum))
        shifts = self._calibrators[level].shifts(asked.stratum, lambda: self._unfinished(level, asked.stratum))
        if shifts is None:
            return forecast(at_levels(made), prompt.max_tokens)
        shift: list[float] = shifts.tolist()  # so few numbers are quicker without arrays
        least, most = (math.log1p(made.tokens[i]) + shift[j] for i, j in ((0, 0), (-1, len(INNER) - 1)))
        *inner, low, high = map(add, asked.quantiles.tolist(), shift)
        top = self._calibrators[level].top(asked.stratum)
        counts = [math.expm1(min(log, MOST)) for log in (least, *inner, most)]
        interval = math.expm1(low), math.expm1(high if top == -math.inf else top)
        return forecast(counts, prompt.max_tokens, self.coverage, interval)

    def _speaks(self, level: tuple[str, str], stratum: int) -> bool:
        """Whether a calibration of its own is there for these requests, and knows enough of such forecasts."""
        if level == WHOLE:
            return True
        own = self._calibrators.get(level)
        return own is not None and own.count >= self.enough and own.speaks(stratum)

    def _unfinished(self, level: tuple[str, str], stratum: int) -> list[Row]:
        """Running requests of a calibration and a stratum, as answers cut where they are."""
        return [
            Row(asked.quantiles, math.log1p(tokens), True)  # noqa: FBT003 - it is cut
            for asked, tokens in self._running.values()
            if asked.stratum == stratum and level in levels_of(asked.group)
        ]

    def _learn(self, asked: _Asked, tokens: int, censored: bool) -> None:  # noqa: FBT001 - the answer's kind
        row = Row(asked.quantiles, math.log1p(tokens), censored)
        for level in levels_of(asked.group):
            own = self._calibrators.get(level)
            if own is None:
                if len(self._calibrators) > MOST_GROUPS:
                    del self._calibrators[self._least_wanted()]
                own = self._calibrators[level] = self._calibrator()
            own.add(asked.stratum, row)
            self._calibrators.move_to_end(level)
        self._begin(asked.expected)

    def _least_wanted(self) -> tuple[str, str]:
        """The group longest without an answer: a tenant's before a model's, never all."""
        groups = [group for group in self._calibrators if group != WHOLE]
        return next((group for group in groups if group[1]), groups[0])

    def _begin(self, expected: float) -> None:
        """Without a fit, strata are drawn from the first forecasts."""
        if len(self.edges_) == self.strata - 1:
            return
        self._first.append(expected)
        if len(self._first) >= COLD:
            self.edges_ = np.quantile(self._first, np.arange(1, self.strata) / self.strata)
            self._first.clear()


class _Asked(NamedTuple):
    """What was forecast of a request whose answer is awaited: logs of its quantiles, its stratum, its group."""

    quantiles: NDArray[np.float64]
    stratum: int
    group: tuple[str, str]
    expected: float


@lru_cache(maxsize=4096)
def levels_of(group: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """A model and tenant, the model, all: each once, the narrowest first."""
    return tuple(dict.fromkeys((group, (group[0], ""), WHOLE)))


def _groups(path: Path) -> list[tuple[str, str]]:
    """The models and tenants that a folder names, all of them together among them."""
    names = folders.read_json(path).get("groups")
    found = [tuple(n) for n in names if isinstance(n, list)] if isinstance(names, list) else []
    if WHOLE not in found or not all(len(n) == 2 and all(isinstance(word, str) for word in n) for n in found):
        raise PredictorError(f"{path}: need `groups`, a list of pairs of words with a pair of empty ones")
    return [(n[0], n[1]) for n in found]

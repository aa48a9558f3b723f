"""What was learned, and how it answers: linear models on n-grams, trees on top."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from soonest.predict.quantiles import LONGEST
from soonest.predict.text.facts import features, name_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.core import Prompt
    from soonest.predict.text.linear import Linear
    from soonest.predict.text.trees import Trees

QUANTILES: Final = (0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95)
"""Levels that the trees answer; a forecast's other levels lie between and beyond."""
MIDDLE: Final = QUANTILES.index(0.5)
SHRINK: Final = 0.3
"""How far each spread moves to what is usual at its median. It more than halves what rank agreement loses
from the median to the mean, which schedulers rank by, and costs the interval at most a few percent."""
LONGEST_LOG: Final = math.log1p(LONGEST)
NARROW: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Names:
    """How long each model's answers are: the mean ln(1 + tokens) of each name's `hashes`, and of `all` together."""

    hashes: NDArray[np.uint32]
    means: NDArray[np.float64]
    all: float
    known: dict[int, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = dict(zip(self.hashes.tolist(), self.means.tolist(), strict=True))
        object.__setattr__(self, "known", known)

    def of(self, prompt: Prompt) -> float:
        """The mean of the prompt's model; that of all where it is not known."""
        return self.known.get(name_hash(prompt.model), self.all)


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the quantiles usually lie from the median, on the log: a polynomial in the median for each level.

    `powers` has a row for each power of the median, from 0 on, after the `ends` seen while fitting became -1 and 1.
    """

    powers: NDArray[np.float64]
    ends: NDArray[np.float64]
    rows: list[list[float]] = field(init=False, repr=False)
    """The powers from the highest down, as plain numbers: so few are quicker without arrays."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", self.powers[::-1].tolist())

    @classmethod
    def of(cls, logs: NDArray[np.float64], degree: int = 3) -> Self:
        """Least squares on rows of quantiles."""
        logs = np.sort(logs, axis=1)
        middle = logs[:, MIDDLE]
        ends = np.array([middle.min(), middle.max()])
        known = np.vander(_scaled(middle, ends), degree + 1, increasing=True)
        powers = np.linalg.lstsq(known, logs - middle[:, None], rcond=1e-9)[0]
        return cls(np.asarray(powers, np.float64), ends)

    def shrunk(self, logs: Sequence[float]) -> list[float]:
        """A row in order, with the median kept and the others nearer to what is usual."""
        logs = sorted(logs)
        middle, usual = logs[MIDDLE], [0.0] * len(logs)
        least, most = self.ends.tolist()
        at = min(max((2 * middle - least - most) / max(most - least, NARROW), -1.0), 1.0)
        for row in self.rows:
            usual = [so_far * at + one for so_far, one in zip(usual, row, strict=True)]
        return [log + SHRINK * (middle + more - log) for log, more in zip(logs, usual, strict=True)]


@dataclass(frozen=True, slots=True)
class Model:
    """Linear models whose answers, with a prompt's facts, are the columns of the trees."""

    names: Names
    linear: Linear
    trees: Trees
    spread: Spread
    longest: float
    """Tokens of the longest answer learned from; no forecast goes beyond."""

    def quantiles(self, prompt: Prompt) -> list[float]:
        """Tokens at `QUANTILES`; they may cross."""
        grams, facts = features(prompt)
        row = np.array([*self.linear.predict(grams).tolist(), self.names.of(prompt), *facts])
        logs = [min(max(log, 0.0), LONGEST_LOG) for log in self.trees.predict(row).tolist()]
        return [math.expm1(min(max(log, 0.0), LONGEST_LOG)) for log in self.spread.shrunk(logs)]


def name_hashes(prompts: Sequence[Prompt]) -> NDArray[np.uint32]:
    """The hash of each prompt's model."""
    return np.array([name_hash(prompt.model) for prompt in prompts], np.uint32)


def _scaled(middle: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians from -1 to 1, cut to the ends."""
    return np.asarray(((2 * middle - ends[0] - ends[1]) / max(ends[1] - ends[0], NARROW)).clip(-1, 1))

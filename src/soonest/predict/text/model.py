"""What was learned, and how it answers: linear models on n-grams, trees on top."""

from __future__ import annotations

from dataclasses import dataclass
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
LONGEST_LOG: Final = float(np.log1p(LONGEST))


@dataclass(frozen=True, slots=True)
class Names:
    """How long each model's answers are: the mean ln(1 + tokens) of each name's `hashes`, and of `all` together."""

    hashes: NDArray[np.uint32]
    means: NDArray[np.float64]
    all: float

    def of(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """The mean of each prompt's model; that of all where it is not known."""
        asked = name_hashes(prompts)
        place = self.hashes.searchsorted(asked).clip(max=len(self.hashes) - 1)
        return np.where(self.hashes.take(place) == asked, self.means.take(place), self.all)


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the quantiles usually lie from the median, on the log: a polynomial in the median for each level.

    `powers` has a row for each power of the median, from 0 on, after the `ends` seen while fitting became -1 and 1.
    """

    powers: NDArray[np.float64]
    ends: NDArray[np.float64]

    @classmethod
    def of(cls, logs: NDArray[np.float64], degree: int = 3) -> Self:
        """Least squares on rows of quantiles."""
        logs = np.sort(logs, axis=1)
        middle = logs[:, MIDDLE]
        ends = np.array([middle.min(), middle.max()])
        known = np.vander(_scaled(middle, ends), degree + 1, increasing=True)
        powers = np.linalg.lstsq(known, logs - middle[:, None], rcond=1e-9)[0]
        return cls(np.asarray(powers, np.float64), ends)

    def shrunk(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rows, each in order, with the median kept and the others nearer to what is usual."""
        logs = np.sort(logs, axis=1)
        middle = logs[:, MIDDLE : MIDDLE + 1]
        at, usual = _scaled(middle, self.ends), np.zeros_like(logs)
        for row in self.powers[::-1]:
            usual = usual * at + row
        return logs + SHRINK * (middle + usual - logs)


@dataclass(frozen=True, slots=True)
class Model:
    """Linear models whose answers, with a prompt's facts, are the columns of the trees."""

    names: Names
    linear: Linear
    trees: Trees
    spread: Spread
    longest: float
    """Tokens of the longest answer learned from; no forecast goes beyond."""

    def quantiles(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Tokens at `QUANTILES` for at least one prompt, of shape (prompts, levels); they may cross."""
        grams, facts = features(prompts)
        columns = (self.linear.predict(grams), self.names.of(prompts)[:, None], facts)
        logs = self.trees.predict(np.concatenate(columns, axis=1))
        return np.asarray(np.expm1(self.spread.shrunk(logs.clip(0, LONGEST_LOG)).clip(0, LONGEST_LOG)))


def name_hashes(prompts: Sequence[Prompt]) -> NDArray[np.uint32]:
    """The hash of each prompt's model."""
    return np.array([name_hash(prompt.model) for prompt in prompts], np.uint32)


def _scaled(middle: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians from -1 to 1, cut to the ends."""
    return np.asarray(((2 * middle - ends[0] - ends[1]) / max(ends[1] - ends[0], 1e-9)).clip(-1, 1))

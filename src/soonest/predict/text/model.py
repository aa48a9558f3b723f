"""What was learned, and how it answers: linear models on n-grams, trees on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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
class Model:
    """Linear models whose answers, with a prompt's facts, are the columns of the trees."""

    names: Names
    linear: Linear
    trees: Trees
    longest: float
    """Tokens of the longest answer learned from; no forecast goes beyond."""

    def quantiles(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """Tokens at `QUANTILES` for at least one prompt, of shape (prompts, levels); they may cross."""
        grams, facts = features(prompts)
        columns = (self.linear.predict(grams), self.names.of(prompts)[:, None], facts)
        logs = self.trees.predict(np.concatenate(columns, axis=1))
        return np.asarray(np.expm1(logs.clip(0, LONGEST_LOG)))


def name_hashes(prompts: Sequence[Prompt]) -> NDArray[np.uint32]:
    """The hash of each prompt's model."""
    return np.array([name_hash(prompt.model) for prompt in prompts], np.uint32)

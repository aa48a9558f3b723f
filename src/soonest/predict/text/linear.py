"""Linear models over hashed n-grams: TF-IDF, each block of n-grams of length one, ridge regression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.predict.text.ngrams import BITS, BLOCKS
from soonest.predict.text.tokens import ENDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.predict.text.ngrams import Grams

OFTEN: Final = 1 + np.log(np.maximum(np.arange(8 * ENDS), 1), dtype=np.float32)
"""1 + ln of how often an n-gram is seen: never so often, as a text's ends in lower case are shorter."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Several linear models of the same n-grams.

    `rarity` is each place's inverse document frequency, 0 where it says nothing; `weights` has a row for each place and
    a column for each model, `offsets` what each model says of a text without n-grams.
    """

    rarity: NDArray[np.float32]
    weights: NDArray[np.float32]
    offsets: NDArray[np.float64]

    def predict(self, grams: Grams) -> NDArray[np.float64]:
        """What each model says of a text, of shape (models,)."""
        return np.asarray(weighed(grams, self.rarity) @ self.weights.take(grams.places, axis=0) + self.offsets)


def rarity(counts: NDArray[np.intp], texts: int) -> NDArray[np.float32]:
    """Smoothed inverse document frequency, as scikit-learn has it; 0 for what one text alone has."""
    return np.where(counts >= 2, np.log((1 + texts) / (1 + counts)) + 1, 0).astype(np.float32)


def weighed(grams: Grams, idf: NDArray[np.float32]) -> NDArray[np.float32]:
    """TF-IDF of each n-gram, (1 + ln times) idf, so that each block of the text has length one, or zero."""
    values = OFTEN.take(grams.times, mode="clip")
    values *= idf.take(grams.places)
    block = grams.places >> BITS
    norms = [math.sqrt(square) or 1.0 for square in np.bincount(block, values * values, BLOCKS).tolist()]
    values /= np.array(norms, np.float32).take(block)
    return np.asarray(values)

"""Linear models over hashed n-grams: TF-IDF, each block of n-grams of length one, ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from soonest.predict.text.ngrams import BITS, BLOCKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.predict.text.ngrams import Grams


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
        """What each model says of each text, of shape (texts, models)."""
        values = weighed(grams, self.rarity)
        firsts = grams.owners.searchsorted(np.arange(grams.count))
        products = self.weights.take(grams.places, axis=0) * values[:, None]
        return np.add.reduceat(products, firsts, axis=0) + self.offsets


def rarity(counts: NDArray[np.intp], texts: int) -> NDArray[np.float32]:
    """Smoothed inverse document frequency, as scikit-learn has it; 0 for what one text alone has."""
    return np.where(counts >= 2, np.log((1 + texts) / (1 + counts)) + 1, 0).astype(np.float32)


def weighed(grams: Grams, idf: NDArray[np.float32]) -> NDArray[np.float32]:
    """TF-IDF of each n-gram, (1 + ln times) idf, so that each block of each text has length one, or zero."""
    values = (1 + np.log(grams.times, dtype=np.float32)) * idf.take(grams.places)
    block = grams.owners * BLOCKS + (grams.places >> BITS)
    norms = np.sqrt(np.bincount(block, values * values, grams.count * BLOCKS)).astype(np.float32)
    norms[norms == 0] = 1
    return values / norms.take(block)

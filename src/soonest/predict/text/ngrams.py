"""Hashed n-grams of a text: words, pairs of its opening words, characters, and who is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.predict.text.tokens import mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.predict.text.tokens import Tokens

BITS: Final = 17
"""Each block of n-grams has 2^17 places; n-grams that share one are taken for the same."""
BLOCKS: Final = 4
SIZE: Final = BLOCKS << BITS
OPENING: Final = 14
"""Tokens at the start of which each pair is a feature: an instruction's verb and its object need not be neighbours."""
CHARACTERS: Final = (2, 3, 4, 5)
LEFT: Final = np.uint64(0x9E3779B97F4A7C15)
RIGHT: Final = np.uint64(0xC2B2AE3D27D4EB4F)
FAR: Final = np.uint64(31)
HOMES: Final = (0, 0, 1, 1, 1, 1, 1, *(2 for _ in CHARACTERS), 3)
"""The block of each kind of n-gram: tokens, neighbours, pairs of the opening, its first three one by one, those three
together, characters, marks."""
SALTS: Final = np.arange(1, len(HOMES) + 1, dtype=np.uint64) * np.uint64(0xA0761D6478BD642F)
SHIFTS: Final = np.array(HOMES) << BITS


@dataclass(frozen=True, slots=True)
class Grams:
    """N-grams of a text, without repetition: `places` in the table of `SIZE`, seen `times`.

    Sorted by place, so by block; there is at least one.
    """

    places: NDArray[np.intp]
    times: NDArray[np.intp]


def grams(text: Tokens, marks: Sequence[int]) -> Grams:
    """Count the n-grams of a text; `marks` are further facts of it as 32-bit hashes, at least one."""
    words = text.words()
    count = len(words)
    first, second = words * LEFT, (words ^ words >> FAR) * RIGHT
    left, right = _pairs(min(count, OPENING))
    opening = first.take(left) + second.take(right)
    three = opening[:1] * LEFT + second[2:3] if count >= 3 else words[:0]
    windows = [text.windows(size) for size in CHARACTERS]
    parts = (words, first[:-1] + second[1:], opening, words[:3], three, *windows, np.array(marks, np.uint64))
    sizes = list(map(len, parts))
    sizes[3:4] = [int(count > i) for i in range(3)]
    hashes = np.concatenate(parts)
    hashes += SALTS.repeat(sizes)
    places = mixed(hashes, BITS).astype(np.intp)
    places += SHIFTS.repeat(sizes)
    places.sort()
    new = np.empty(len(places) + 1, np.bool_)
    new[0] = new[-1] = True
    np.not_equal(places[1:], places[:-1], out=new[1:-1])
    starts = new.nonzero()[0]
    return Grams(places.take(starts[:-1]), starts[1:] - starts[:-1])


@cache
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the second token of each pair of the first so many."""
    left, right = np.triu_indices(count, 1)
    return left, right

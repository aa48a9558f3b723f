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

    from soonest.predict.text.tokens import Texts

    Kind = tuple[int, NDArray[np.intp], NDArray[np.uint64]]

BITS: Final = 17
"""Each block of n-grams has 2^17 places; n-grams that share one are taken for the same."""
BLOCKS: Final = 4
SIZE: Final = BLOCKS << BITS
OPENING: Final = 14
"""Tokens at the start of which each pair is a feature: an instruction's verb and its object need not be neighbours."""
CHARACTERS: Final = (2, 3, 4, 5)
LEFT: Final = 0x9E3779B97F4A7C15
RIGHT: Final = 0xC2B2AE3D27D4EB4F
SALT: Final = 0xA0761D6478BD642F


@dataclass(frozen=True, slots=True)
class Grams:
    """N-grams of `count` texts, without repetition: `places` in the table of `SIZE`, of text `owners`, seen `times`.

    Sorted by text, then by place, so by block; each text has at least one.
    """

    count: int
    owners: NDArray[np.intp]
    places: NDArray[np.intp]
    times: NDArray[np.intp]


def grams(texts: Texts, marks: Sequence[Sequence[int]]) -> Grams:
    """Count the n-grams of these texts; `marks` are further facts of each text as 32-bit hashes, at least one."""
    words = texts.spans(texts.starts, texts.stops)
    before, after = texts.owner[:-1], texts.owner[1:]
    same = before == after
    kinds: list[Kind] = [(0, texts.owner, words), (0, before[same], _joined(words[:-1], words[1:])[same])]
    kinds.extend(_opening(texts, words))
    for size in CHARACTERS:
        hashes, owners = texts.windows(size)
        kinds.append((2, owners, hashes))
    owners = np.repeat(np.arange(texts.count), [len(own) for own in marks])
    kinds.append((3, owners, np.array([mark for own in marks for mark in own], np.uint64)))
    sizes = [len(hashes) for _, _, hashes in kinds]
    salts = np.repeat(np.arange(1, len(kinds) + 1, dtype=np.uint64) * np.uint64(SALT), sizes)
    places = mixed(np.concatenate([hashes for _, _, hashes in kinds]) + salts, BITS).astype(np.intp)
    places += np.repeat([block << BITS for block, _, _ in kinds], sizes)
    places += np.concatenate([owners for _, owners, _ in kinds]) * SIZE
    places.sort()
    starts = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
    times = np.diff(starts, append=len(places))
    keys = places.take(starts)
    return Grams(texts.count, keys // SIZE, keys % SIZE, times)


def _opening(texts: Texts, words: NDArray[np.uint64]) -> list[Kind]:
    """The first three tokens with their position, the first three together, and all pairs of the first few."""
    first = np.searchsorted(texts.owner, np.arange(texts.count + 1))
    index = first[:-1, None] + np.arange(OPENING)
    there = index < first[1:, None]
    head = np.append(words, np.uint64(0))[np.minimum(index, len(words))]
    left, right = _triangle()
    pairs = _joined(head[:, left], head[:, right])
    owners, columns = there[:, right].nonzero()
    kinds = [(1, owners, pairs[owners, columns])]
    kinds.extend((1, own, head[own, i]) for i in range(3) for own in [there[:, i].nonzero()[0]])
    own = there[:, 2].nonzero()[0]
    return [*kinds, (1, own, _joined(pairs[own, 0], head[own, 2]))]


def _joined(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.asarray(left * np.uint64(LEFT) + (right ^ right >> np.uint64(31)) * np.uint64(RIGHT), np.uint64)


@cache
def _triangle() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    left, right = np.triu_indices(OPENING, 1)
    return left, right

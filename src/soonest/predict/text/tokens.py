"""Texts as code points, words and their hashes: many texts at once, in NumPy."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ENDS: Final = 1000
"""Characters looked at from either end of a text."""
SPACE, WORD, SIGN, DIGIT = range(4)
"""Kinds of characters; a sign is a token by itself, and so is a character of a script without spaces."""
TABLE: Final = 0x3000
"""Code points with a kind of their own; those beyond are mostly scripts without spaces, and pictures."""
BASE: Final = 0x9E3779B97F4A7C15
MIX: Final = 0xD6E8FEB86659FD93


@dataclass(frozen=True, slots=True)
class Texts:
    """Lower-case texts in one row of code points, a space after each, cut into tokens.

    `place` has the text of each code point, `hashes[i]` is a polynomial hash of the first `i` of them modulo 2^64.
    Token `t` is the code points from `starts[t]` up to `stops[t]` of the text `owner[t]`.
    """

    count: int
    codes: NDArray[np.uint32]
    kinds: NDArray[np.uint8]
    place: NDArray[np.intp]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.intp]
    stops: NDArray[np.intp]
    owner: NDArray[np.intp]

    def spans(self, starts: NDArray[np.intp], stops: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Hashes of these spans: equal for equal code points, wherever they stand."""
        return (self.hashes[stops] - self.hashes[starts]) * _powers(_room(len(self.codes)))[1][starts]

    def windows(self, size: int) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
        """Hashes of all windows of `size` code points that lie in one text, and those texts."""
        last = len(self.codes) - size + 1
        if last < 1:
            return np.empty(0, np.uint64), np.empty(0, np.intp)
        found = (self.hashes[size:] - self.hashes[:last]) * _powers(_room(len(self.codes)))[1][:last]
        if self.count == 1:
            return found, self.place[:last]
        inside = self.place[:last] == self.place[size - 1 :]
        return found[inside], self.place[:last][inside]


def ends(text: str) -> str:
    """The first and the last characters of a text, all of a short one."""
    return text if len(text) <= 2 * ENDS else f"{text[:ENDS]}\n{text[-ENDS:]}"


def texts(views: Sequence[str]) -> Texts:
    """Cut these into tokens; any string will do."""
    lower = [view.lower() for view in views]
    codes = np.frombuffer(("\n".join(lower) + "\n").encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    place = np.repeat(np.arange(len(lower)), [len(view) + 1 for view in lower])
    kinds = _kinds()[np.minimum(codes, TABLE)]
    powers = _powers(_room(len(codes)))[0]
    values = codes.astype(np.uint64)
    values += np.uint64(1)
    values *= np.uint64(BASE)
    values ^= values >> np.uint64(29)
    values *= powers[: len(codes)]
    hashes = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(values, out=hashes[1:])
    full = kinds != SPACE
    # a token starts where its character differs in kind from the one before, and at each sign
    single = kinds == SIGN
    word = full & ~single
    starts, stops = word.copy(), word.copy()
    starts[1:] &= ~word[:-1]
    stops[:-1] &= ~word[1:]  # the last code point is a space
    first = np.flatnonzero(starts | single)
    return Texts(len(lower), codes, kinds, place, hashes, first, np.flatnonzero(stops | single) + 1, place[first])


def mixed(hashes: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """The hashes, scattered over `bits` bits."""
    found = hashes ^ hashes >> np.uint64(32)
    found *= np.uint64(MIX)
    found ^= found >> np.uint64(32)
    found *= np.uint64(MIX)
    found >>= np.uint64(64 - bits)
    return found


def _room(count: int) -> int:
    return 1 << max(12, count.bit_length())


@cache
def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the hash's base modulo 2^64, and their inverses."""
    both = np.ones((2, count), np.uint64)
    both[0, 1:] = BASE
    both[1, 1:] = pow(BASE, -1, 1 << 64)
    np.cumprod(both, axis=1, out=both)
    return both[0], both[1]


@cache
def _kinds() -> NDArray[np.uint8]:
    kinds = np.full(TABLE + 1, SIGN, np.uint8)
    for code in range(TABLE):
        category = unicodedata.category(chr(code))
        if category[0] in "ZC":
            kinds[code] = SPACE
        elif category[0] in "LM" and code < 0x2E80:
            kinds[code] = WORD
        elif category[0] == "N":
            kinds[code] = DIGIT
    kinds[ord("_")] = kinds[ord("'")] = kinds[ord("\u2019")] = WORD
    return kinds

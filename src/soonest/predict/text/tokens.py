"""A text as code points, tokens and their hashes, in NumPy."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDS: Final = 1000
"""Characters looked at from either end of a text."""
SPACE, WORD, SIGN, DIGIT = range(4)
"""Kinds of characters; a sign is a token by itself, and so is a character of a script without spaces."""
TABLE: Final = 0x3000
"""Code points with a kind of their own; those beyond are mostly scripts without spaces, and pictures."""
BASE: Final = 0x9E3779B97F4A7C15
MIX: Final = np.uint64(0xD6E8FEB86659FD93)
HALF: Final = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text in lower case, its code points with a line's end after them, and where its tokens are.

    `hashes[i]` is a polynomial hash of the first `i` code points modulo 2^64. Token `t` is the code points from
    `starts[t]` up to `stops[t]`. Many small operations would cost more than all others of a forecast: hence the tables.
    """

    lower: str
    codes: NDArray[np.uint32]
    kinds: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.intp]
    stops: NDArray[np.intp]

    @classmethod
    def of(cls, view: str) -> Tokens:
        """Cut a text; any string will do."""
        lower = view.lower()
        codes = np.frombuffer(f"{lower}\n".encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
        count = len(codes)
        kinds = _kinds().take(codes, mode="clip")
        values = _values().take(codes) if lower.isascii() else _scattered(codes)
        values *= _powers(_room(count))[0][:count]
        hashes = np.zeros(count + 1, np.uint64)
        np.cumsum(values, out=hashes[1:])
        # a token starts where a character of words follows one that is none, and at each sign
        word, starts = (kinds & 1).view(np.bool_), kinds == SIGN
        stops = starts.copy()
        starts[0] |= word[0]
        starts[1:] |= word[1:] > word[:-1]
        stops[:-1] |= word[:-1] > word[1:]  # the last code point is a space
        return cls(lower, codes, kinds, hashes, starts.nonzero()[0], stops.nonzero()[0] + 1)

    def words(self) -> NDArray[np.uint64]:
        """Hashes of the tokens: equal for equal code points, wherever they stand."""
        inverse = _powers(_room(len(self.codes)))[1]
        return (self.hashes.take(self.stops) - self.hashes.take(self.starts)) * inverse.take(self.starts)

    def windows(self, size: int) -> NDArray[np.uint64]:
        """Hashes of all windows of `size` code points."""
        last = max(0, len(self.codes) - size + 1)
        inverse = _powers(_room(len(self.codes)))[1]
        return (self.hashes[size : size + last] - self.hashes[:last]) * inverse[:last]


def ends(text: str) -> str:
    """The first and the last characters of a text, all of a short one."""
    return text if len(text) <= 2 * ENDS else f"{text[:ENDS]}\n{text[-ENDS:]}"


def mixed(hashes: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """The hashes, scattered over `bits` bits."""
    found = hashes ^ hashes >> HALF
    found *= MIX
    found ^= found >> HALF
    found *= MIX
    found >>= np.uint64(64 - bits)
    return found


def _scattered(codes: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """What each code point adds to a hash, before its place does."""
    values = codes.astype(np.uint64)
    values += np.uint64(1)
    values *= np.uint64(BASE)
    values ^= values >> np.uint64(29)
    return values


@cache
def _values() -> NDArray[np.uint64]:
    return _scattered(np.arange(0x80, dtype=np.uint32))


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

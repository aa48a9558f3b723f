"""Prompts and the lengths of their answers, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

import numpy as np

from soonest.core import Prompt, TraceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Grouped(Prompt):
    """A prompt whose texts are not at hand; `group` is the number that `group_of` made from them."""

    group: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Finished calls: `tokens` of each answer, `censored` where it was cut there, so is at least as long.

    `groups` numbers what belongs together, so that no part of it is learned from while another is tested: see
    `group_of`. `left_out` counts the calls of the source that had no answer. All columns have shape (n,).

    Raises:
        TraceError: columns of different lengths, or an answer of no token.
    """

    prompts: tuple[Prompt, ...]
    tokens: NDArray[np.int64]
    censored: NDArray[np.bool_]
    groups: NDArray[np.uint64]
    left_out: int = 0

    def __post_init__(self) -> None:
        sizes = [len(column) for column in (self.prompts, self.tokens, self.censored, self.groups)]
        if len(set(sizes)) > 1:
            raise TraceError(f"need a length, a cut and a group for each prompt, got columns of {sizes}")
        if len(self) and self.tokens.min() < 1:
            raise TraceError(f"an answer has at least one token, got {int(self.tokens.min())}: leave such calls out")

    def __len__(self) -> int:
        return len(self.prompts)

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[Prompt, int, bool]], left_out: int = 0) -> Self:
        """From prompts, each with its answer's tokens and whether that was cut."""
        prompts: list[Prompt] = []
        tokens: list[int] = []
        censored: list[bool] = []
        for prompt, count, cut in rows:
            prompts.append(prompt)
            tokens.append(count)
            censored.append(cut)
        groups = np.fromiter((group_of(prompt) for prompt in prompts), np.uint64, len(prompts))
        return cls(
            tuple(prompts), np.array(tokens, dtype=np.int64), np.array(censored, dtype=np.bool_), groups, left_out
        )

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Self:
        """Several sets, one after the other."""
        return cls(
            tuple(prompt for part in parts for prompt in part.prompts),
            np.concatenate([np.zeros(0, np.int64), *(part.tokens for part in parts)]),
            np.concatenate([np.zeros(0, np.bool_), *(part.censored for part in parts)]),
            np.concatenate([np.zeros(0, np.uint64), *(part.groups for part in parts)]),
            sum(part.left_out for part in parts),
        )

    @property
    def models(self) -> tuple[str, ...]:
        """The models that answered, by name; those not named are left out."""
        return tuple(sorted({prompt.model for prompt in self.prompts} - {""}))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | Sequence[int]) -> Examples:
        """These rows, in this order: their numbers, or a truth value for each row."""
        chosen = np.arange(len(self))[np.asarray(rows, dtype=None if len(rows) else np.int64)]
        return Examples(
            tuple(self.prompts[i] for i in chosen.tolist()),
            self.tokens[chosen],
            self.censored[chosen],
            self.groups[chosen],
        )

    def split(self, shares: Sequence[float], seed: int = 0) -> tuple[Examples, ...]:
        """Parts in proportion to `shares`, drawn group by group; each part keeps the order of rows.

        Which part a group falls into does not depend on the order of rows. A part misses its share by at most the size
        of the largest group.

        Raises:
            TraceError: a share is not positive, or there are too few groups for so many parts.
        """
        bounds = np.cumsum(np.asarray(shares, dtype=np.float64))
        if not len(shares) or not np.isfinite(bounds).all() or min(shares) <= 0:
            raise TraceError(f"shares must be positive numbers, got {list(shares)}")
        _, member, sizes = np.unique(self.groups, return_inverse=True, return_counts=True)
        order = np.random.default_rng(seed).permutation(len(sizes))
        drawn = sizes[order]
        middles = (np.cumsum(drawn) - drawn / 2) / max(len(self), 1) * bounds[-1]
        part = np.empty(len(sizes), dtype=np.int64)
        part[order] = np.minimum(np.searchsorted(bounds, middles, side="right"), len(shares) - 1)
        of_row = part[member]
        parts = tuple(self.take(of_row == i) for i in range(len(shares)))
        if not all(len(p) for p in parts):
            raise TraceError(
                f"cannot split {len(self)} answers of {len(sizes)} conversations into shares {list(shares)}: one would "
                "be empty; give more data or other shares"
            )
        return parts


def group_of(prompt: Prompt) -> int:
    """A number for what belongs together: the conversation, or where none is named the first turn of its user.

    Calls of one dialogue share their first turn, and so do several models' answers to one prompt.
    """
    if isinstance(prompt, Grouped):
        return prompt.group
    if prompt.conversation:
        return _number(prompt.conversation, b"conversation")
    said = (message.text for message in prompt.messages if message.role == "user")
    return _number(next(said, prompt.text), b"text")


def _number(text: str, kind: bytes) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8, key=kind).digest(), "little")

"""From prompts to what the encoder reads: tokens of the text, and numbers beside it; without PyTorch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import PredictorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.core import Prompt

ROUNDS: Final = ("single", "multi")
CHARACTERS: Final = 16  # looked at for each token that is kept
MISSING: Final = "the encoder needs more packages: pip install 'soonest[encoder]'"
NUMBERS: Final = 4


def text_of(prompt: Prompt, rounds: str, most: int) -> str:
    """The end of the last turn (`single`) or the dialogue (`multi`), about `most` characters, as valid Unicode."""
    if rounds == "single":
        found = prompt.text[-most:]
    else:
        parts: list[str] = []
        room = most
        for message in reversed(prompt.messages):
            if room <= 0:
                break
            parts.append(f"{message.role[:20]}: {message.text[-room:]}")
            room -= len(parts[-1])
        found = "\n".join(reversed(parts))
    return found.encode("utf-8", "replace").decode("utf-8")


def numbers_of(
    prompts: Sequence[Prompt], models: Sequence[str], *, by_model: bool, lengths: bool
) -> NDArray[np.float32]:
    """Numbers beside the text, of shape (n, k): the model as one of `models`, zeros for others; then lengths."""
    width = len(models) * by_model + NUMBERS * lengths
    found = np.zeros((len(prompts), width), dtype=np.float32)
    place = {name: i for i, name in enumerate(models)} if by_model else {}
    for row, prompt in zip(found, prompts, strict=True):
        if prompt.model in place:
            row[place[prompt.model]] = 1
        if lengths:
            row[-NUMBERS:] = _lengths(prompt)
    return found


def width_of(models: Sequence[str], *, by_model: bool, lengths: bool) -> int:
    """How many numbers `numbers_of` gives."""
    return len(models) * by_model + NUMBERS * lengths


class Reader:
    """A tokenizer that keeps the last `length` tokens, its special tokens included.

    Raises:
        PredictorError: the tokenizer's JSON is none, or `tokenizers` is not installed.
    """

    def __init__(self, tokenizer: str, length: int) -> None:
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415 - heavy
        except ImportError:
            raise PredictorError(MISSING) from None
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(length, direction="left")
        except Exception as error:  # the library raises nothing narrower
            raise PredictorError(f"tokenizer.json is no tokenizer: {error}") from error

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text, one by one, so that one core is enough."""
        return [self._tokenizer.encode(text).ids or [0] for text in texts]


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens and mask, both of shape (n, longest)."""
    longest = max(map(len, rows))
    tokens = np.full((len(rows), longest), pad, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return tokens, mask


def _lengths(prompt: Prompt) -> list[float]:
    asked = sum(message.length for message in prompt.messages)
    counts = len(prompt.text), prompt.text.count("\n"), asked, len(prompt.messages)
    return [math.log1p(count) / 4 for count in counts]

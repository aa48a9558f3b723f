"""What the models see of a prompt: n-grams, and facts: counts, numbers asked for, form, what was said before."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

from soonest.core.forecast import MAX_TOKENS
from soonest.core.request import DEFAULT_MAX_TOKENS
from soonest.data.examples import Grouped
from soonest.predict.text.ngrams import grams
from soonest.predict.text.tokens import DIGIT, SIGN, WORD, Tokens, ends

if TYPE_CHECKING:
    from collections.abc import Callable

    from soonest.core import Prompt
    from soonest.predict.text.ngrams import Grams

SIGNS: Final = "?!.,:;\"'()[]{}<>=+-*/\\#`|_&%$\n"
WORDS: Final = "a one single two few three several four five six seven eight nine ten twelve fifteen twenty"
WORTH: Final = (1, 1, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20)
NUMBERS: Final = dict(zip(WORDS.split(), WORTH, strict=True))
ASKED: Final = re.compile(
    rf"\b(?=[\daefnost])(\d{{1,5}}|{'|'.join(NUMBERS)})\b(?:[ -](?:\w+[ -]){{0,2}}?(words?|sentences?|lines?|"
    r"paragraphs?|pages?|examples?|ideas?|ways?|reasons?|tips?|questions?|steps?|points?|items?|things|titles?|names?)"
    r"\b)?"
)
"""A number, and what it counts where that follows within three words."""
OPTION: Final = re.compile(r"[ \t]*\(?[a-jA-J][.):] ")
BULLET: Final = re.compile(r"[ \t]*(?:[-*\u2022]|\d+[.)]) ")
UNITS: Final = ("word", "sent", "line", "para", "page")
COLUMNS: Final = 4 + 2 + len(SIGNS) + 2 + 8 + 8 + 13


@dataclass(frozen=True, slots=True)
class Seen(Grouped):
    """A prompt of which only what the models see is at hand: `look` fetches that of its `row`.

    The texts stay where they were read, so a log larger than memory can be learned from. What was asked now has so many
    `characters`.
    """

    characters: int = 0
    row: int = 0
    look: Callable[[int], tuple[Grams, list[float]]] | None = field(default=None, repr=False)


def facts(prompt: Prompt, view: str, text: Tokens) -> list[float]:
    """`COLUMNS` numbers, all finite."""
    return [*_counts(text), *_asked(text.lower), *_form(prompt, view), *_before(prompt)]


def _counts(text: Tokens) -> list[float]:
    """Logs of how many characters and tokens of each kind there are, and of each sign."""
    kinds: list[int] = np.bincount(text.kinds, minlength=4).tolist()
    lower, tokens, letters = text.lower, len(text.starts), max(kinds[WORD], 1)
    wide = 0 if lower.isascii() else sum(character > "\x7f" for character in lower)
    marks = map(lower.count, _SORTED)
    logs = map(math.log1p, (*kinds, tokens, wide, lower.count("\n") + 1, *marks))
    return [*logs, kinds[DIGIT] / letters, letters / max(tokens - kinds[SIGN], 1)]


def _asked(lower: str) -> list[float]:
    """How much of what is asked for: "in 100 words", "five ways"; then the first number and the largest."""
    units = dict.fromkeys((*UNITS, "things"), 0.0)
    counts = []
    for word, unit in ASKED.findall(lower):
        number = float(NUMBERS.get(word, word))
        if number >= 2 and word not in {"few", "several"}:
            counts.append(number)
        if unit:
            kind = unit[:4] if unit[:4] in units else "things"
            units[kind] = units[kind] or math.log1p(number)
    return [*units.values(), math.log1p(counts[0]) if counts else -1.0, math.log1p(max(counts, default=0.0))]


def _form(prompt: Prompt, view: str) -> list[float]:
    """Lengths of the text and of its parts."""
    lines = view.split("\n")
    colon = view.find(":")
    return [
        math.log1p(len(prompt.text)),
        math.log1p(len(lines[0])),
        math.log1p(len(view) - len(lines[0])),
        math.log1p(len(view) - colon - 1) if colon >= 0 else -1.0,
        math.log1p(len(lines[-1])),
        _capitals(view[:200]),
        float(sum(OPTION.match(line) is not None for line in lines)),
        float(sum(BULLET.match(line) is not None for line in lines)),
    ]


def _capitals(start: str) -> float:
    """The share of capitals."""
    if start.isascii():
        return (len(start) - len(start.encode().translate(None, _CAPITALS))) / (len(start) + 1)
    return sum(map(str.isupper, start)) / (len(start) + 1)


def _before(prompt: Prompt) -> list[float]:
    """Turns before this one and how long earlier answers were: the last one says much of the next."""
    earlier = prompt.earlier
    answers = [_log(m.length) for m in earlier if m.role == "assistant"]
    recent = answers[-8:]
    asked = next((m.length for m in reversed(earlier) if m.role == "user"), None)
    return [
        _log(prompt.length),
        _log(prompt.cached_tokens),
        _log(len(answers)),
        _log(sum(m.length for m in earlier if m.role in {"system", "developer"})),
        _log(sum(m.length for m in earlier)),
        recent[-1] if recent else -1.0,
        recent[-2] if len(recent) > 1 else -1.0,
        sum(recent) / len(recent) if recent else -1.0,
        max(recent, default=-1.0),
        -1.0 if asked is None else _log(asked),
        _log(prompt.max_tokens) if prompt.max_tokens < DEFAULT_MAX_TOKENS else -1.0,
        _log(prompt.min_tokens),
        _warmth(prompt.temperature),
    ]


def _log(count: int) -> float:
    return math.log1p(max(0, min(count, MAX_TOKENS)))


def _warmth(temperature: float | None) -> float:
    return -1.0 if temperature is None or not math.isfinite(temperature) else temperature


_SORTED: Final = tuple(sorted(set(SIGNS) - {"\n"}))  # a line's end is the first of all
_CAPITALS: Final = ascii_uppercase.encode()


def features(prompt: Prompt) -> tuple[Grams, list[float]]:
    """The n-grams and the facts of a prompt."""
    if isinstance(prompt, Seen) and prompt.look is not None:
        return prompt.look(prompt.row)
    view = ends(prompt.text)
    text = Tokens.of(view)
    return grams(text, _marks(prompt)), facts(prompt, view, text)


def characters(prompt: Prompt) -> int:
    """How long the last turn is."""
    return prompt.characters if isinstance(prompt, Seen) else len(prompt.text)


def name_hash(name: str) -> int:
    """A model's name as 32 bits, the same everywhere."""
    return crc32(name.encode("utf-8", "surrogatepass"))


def _marks(prompt: Prompt) -> list[int]:
    """Hashes of the model, the tenant and the system messages."""
    words = [f"model {prompt.model}", f"tenant {prompt.tenant}"]
    words += [f"system {ends(m.text)}" for m in prompt.earlier if m.role in {"system", "developer"}]
    return [name_hash(word) for word in words]

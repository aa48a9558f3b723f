"""What the models see of a prompt: n-grams, and facts: counts, numbers asked for, form, what was said before."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

from soonest.core.forecast import MAX_TOKENS
from soonest.core.request import DEFAULT_MAX_TOKENS
from soonest.predict.text.ngrams import grams
from soonest.predict.text.tokens import DIGIT, SIGN, WORD, ends, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.core import Prompt
    from soonest.predict.text.ngrams import Grams
    from soonest.predict.text.tokens import Texts

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


def facts(prompts: Sequence[Prompt], views: Sequence[str], texts: Texts) -> NDArray[np.float64]:
    """A row of `COLUMNS` numbers for each prompt, all finite."""
    rows = np.array([[*_asked(view), *_form(p, view), *_before(p)] for p, view in zip(prompts, views, strict=True)])
    return np.concatenate([_counts(texts), rows], axis=1)


def _counts(texts: Texts) -> NDArray[np.float64]:
    """Logs of how many characters and tokens of each kind there are, and of each sign."""
    count = texts.count
    kinds = np.bincount(texts.place * 4 + texts.kinds, minlength=4 * count).reshape(count, 4)
    tokens = np.bincount(texts.owner, minlength=count)
    signs = np.searchsorted(_SORTED, texts.codes).clip(max=len(_SORTED) - 1)
    hit = _SORTED[signs] == texts.codes
    marks = np.bincount(texts.place[hit] * len(_SORTED) + signs[hit], minlength=len(_SORTED) * count)
    letters = np.maximum(kinds[:, WORD], 1)
    wide = np.bincount(texts.place[texts.codes > 0x7F], minlength=count)
    rows = [kinds, tokens[:, None], wide[:, None], marks.reshape(count, -1)]
    logs = np.log1p(np.concatenate(rows, axis=1).astype(np.float64))
    shares = np.stack([kinds[:, DIGIT] / letters, letters / np.maximum(tokens - kinds[:, SIGN], 1)], axis=1)
    return np.concatenate([logs, shares], axis=1)


def _asked(view: str) -> list[float]:
    """How much of what is asked for: "in 100 words", "five ways"; then the first number and the largest."""
    units = dict.fromkeys((*UNITS, "things"), 0.0)
    counts = []
    for word, unit in ASKED.findall(view.lower()):
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
        float(sum(map(str.isupper, view[:200]))) / (len(view[:200]) + 1),
        float(sum(OPTION.match(line) is not None for line in lines)),
        float(sum(BULLET.match(line) is not None for line in lines)),
    ]


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


_SORTED: Final = np.array(sorted(map(ord, SIGNS)), np.uint32)


def features(prompts: Sequence[Prompt]) -> tuple[Grams, NDArray[np.float64]]:
    """The n-grams and the facts of at least one prompt."""
    views = [ends(prompt.text) for prompt in prompts]
    cut = texts(views)
    return grams(cut, [_marks(prompt) for prompt in prompts]), facts(prompts, views, cut)


def name_hash(name: str) -> int:
    """A model's name as 32 bits, the same everywhere."""
    return crc32(name.encode("utf-8", "surrogatepass"))


def _marks(prompt: Prompt) -> list[int]:
    """Hashes of the model, the tenant and the system messages."""
    words = [f"model {prompt.model}", f"tenant {prompt.tenant}"]
    words += [f"system {ends(m.text)}" for m in prompt.earlier if m.role in {"system", "developer"}]
    return [name_hash(word) for word in words]

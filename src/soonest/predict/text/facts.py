"""Plain facts of a prompt: counts, numbers asked for, form, and what was said before."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core.request import DEFAULT_MAX_TOKENS
from soonest.predict.text.tokens import DIGIT, SIGN, WORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.core import Prompt
    from soonest.predict.text.tokens import Texts

SIGNS: Final = "?!.,:;\"'()[]{}<>=+-*/\\#`|_&%$\n"
NUMBERS: Final = {
    word: float(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - a sentence
    )
} | {"a": 1.0, "single": 1.0, "couple": 2.0, "few": 3.0, "several": 4.0, "fifteen": 15.0, "twenty": 20.0}
ASKED: Final = re.compile(
    r"\b(\d{1,5}|one|two|three|four|five|six|seven|eight|nine|ten|fifteen|twenty|a|single|few|several)[ -]"
    r"(?:\w+[ -]){0,2}?(words?|sentences?|lines?|paragraphs?|pages?|examples?|ideas?|ways?|reasons?|tips?|questions?|"
    r"steps?|points?|items?|things|titles?|names?)\b"
)
COUNT: Final = re.compile(r"\b(?:\d{1,4}|two|three|four|five|six|seven|eight|nine|ten|fifteen|twenty)\b")
OPTION: Final = re.compile(r"^\s*\(?[a-jA-J][.):] ", re.MULTILINE)
BULLET: Final = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)]) ", re.MULTILINE)
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
    """How much of what is asked for: "in 100 words", "five ways"."""
    lower = view.lower()
    units = dict.fromkeys(UNITS, 0.0)
    things = 0.0
    for number, unit in ASKED.findall(lower):
        value = math.log1p(_number(number))
        if unit[:4] in units:
            units[unit[:4]] = units[unit[:4]] or value
        else:
            things = things or value
    counts = [_number(found) for found in COUNT.findall(lower)[:50]]
    return [
        *units.values(),
        things,
        math.log1p(counts[0]) if counts else -1.0,
        math.log1p(max(counts, default=-1.0) + 1),
    ]


def _form(prompt: Prompt, view: str) -> list[float]:
    """Lengths of the text and of its parts."""
    text = prompt.text
    first, _, rest = view.partition("\n")
    colon = view.find(":")
    return [
        math.log1p(len(text)),
        math.log1p(len(first)),
        math.log1p(len(rest)),
        math.log1p(len(view) - colon - 1) if colon >= 0 else -1.0,
        math.log1p(len(view) - view.rfind("\n") - 1),
        float(sum(map(str.isupper, view[:200]))) / (len(view[:200]) + 1),
        float(len(OPTION.findall(view))),
        float(len(BULLET.findall(view))),
    ]


def _before(prompt: Prompt) -> list[float]:
    """Turns before this one and how long earlier answers were: the last one says much of the next."""
    earlier = prompt.earlier
    answers = [m.length for m in earlier if m.role == "assistant"]
    logs = [math.log1p(n) for n in answers[-8:]]
    system = sum(m.length for m in earlier if m.role in {"system", "developer"})
    asked = [m.length for m in earlier if m.role == "user"]
    return [
        math.log1p(prompt.length),
        math.log1p(prompt.cached_tokens),
        math.log1p(len(answers)),
        math.log1p(system),
        math.log1p(sum(answers)),
        logs[-1] if logs else -1.0,
        logs[-2] if len(logs) > 1 else -1.0,
        sum(logs) / len(logs) if logs else -1.0,
        max(logs, default=-1.0),
        math.log1p(asked[-1]) if asked else -1.0,
        math.log(prompt.max_tokens) if prompt.max_tokens < DEFAULT_MAX_TOKENS else -1.0,
        math.log1p(prompt.min_tokens),
        -1.0 if prompt.temperature is None else prompt.temperature,
    ]


def _number(word: str) -> float:
    return NUMBERS[word] if word in NUMBERS else float(word)


_SORTED: Final = np.array(sorted(map(ord, SIGNS)), np.uint32)

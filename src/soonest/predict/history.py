"""Answers to prompts of the same template, tenant and model, remembered."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from soonest.core import Forecast, PredictorError
from soonest.predict import folder as folders
from soonest.predict.predictor import Predictor, columns
from soonest.predict.quantiles import LONGEST, forecast
from soonest.predict.stream import Lengths
from soonest.predict.stream.lengths import PATIENCE, quantiles_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from soonest.core import Prompt

PREFIXES: Final = (24, 64, 160, 400)
"""Characters of the last turn that may be a template's beginning."""
ENDING: Final = 40
SYSTEM: Final = 1000
ALL: Final = 0
"""The key of all answers together, which is never forgotten."""
CANDIDATES: Final = 10
"""Beginnings and endings held for each template that may be learned, until they recur."""


class History(Predictor):
    """Running quantiles for each model, tenant and prompt template; the template is learned from the stream.

    A prompt's beginning, ending or system message becomes a template once `least` answers to it have come. A forecast
    starts from all answers and moves, template by template, towards the most specific, each weighing as much as its
    answers do beside `strength` answers of the wider one. At most `templates` are kept, those last seen.
    """

    name = "history"
    quick = True

    def __init__(self, window: float = 500, templates: int = 2000, least: int = 4, strength: float = 8) -> None:
        if not (1 < window <= 1e9 and 1 <= templates <= 1_000_000 and least >= 1 and strength > 0):
            raise PredictorError("need window > 1, templates from 1 to 1,000,000, least >= 1 and strength > 0")
        self.window, self.templates, self.least, self.strength = window, templates, least, strength
        self._clear()

    @property
    def parameters(self) -> dict[str, object]:
        """What was given."""
        return {
            "window": self.window,
            "templates": self.templates,
            "least": self.least,
            "strength": self.strength,
        }

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Self:
        """Start anew from these answers: the most frequent templates are kept."""
        rows = zip(*columns(prompts, tokens, censored), strict=True)
        self._clear()
        found: dict[int, list[tuple[int, bool]]] = {}
        for prompt, count, cut in rows:
            for key in keys(prompt):
                found.setdefault(key, []).append((count, cut))
        often = sorted((k for k in reversed(found) if k != ALL), key=lambda key: len(found[key]))[-self.templates :]
        for key in (ALL, *(k for k in often if len(found[k]) >= self.least)):
            self.known_[key] = Lengths(self.window).extend(*zip(*found[key], strict=True))
        self._count = len(found[ALL])
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """From the most specific template known; `unknown` before the first answer."""
        return [self._predict(prompt) for prompt in prompts]

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002
        """One answer more, for each template that the prompt may have."""
        self._count += 1
        for key in reversed([*keys(prompt)]):  # the widest last, so that it is forgotten after what it leads to
            lengths = self.known_.get(key)
            if lengths is None:
                self._met(key, tokens, censored)
            else:
                lengths.add(tokens, censored)
                self.known_.move_to_end(key)

    def save_state(self, folder: Path) -> None:
        """A histogram for each template; prompts that have not recurred are forgotten."""
        found = [lengths.state() for lengths in self.known_.values()]
        folders.write_arrays(
            folder,
            {
                "templates": np.array(list(self.known_), dtype=np.uint64),
                "lengths": np.stack(found) if found else np.zeros((0, 0, 0)),
            },
        )

    def load_state(self, folder: Path) -> None:
        """The histograms, as this version has them."""
        found = folders.read_arrays(folder, {"templates": ("u", 1), "lengths": ("f", 3)})
        try:
            for key, state in zip(found["templates"].tolist(), found["lengths"], strict=True):
                self.known_[key] = Lengths.restored(self.window, state)
        except ValueError as error:
            raise PredictorError(f"{folder / 'weights.npz'}: {error}") from None
        self._count = max((lengths.count for lengths in self.known_.values()), default=0)

    def _clear(self) -> None:
        self.known_: OrderedDict[int, Lengths] = OrderedDict()
        self._candidates: OrderedDict[int, list[tuple[int, bool]]] = OrderedDict()
        self._made: dict[tuple[int, ...], _Made] = {}
        self._count = 0

    def _predict(self, prompt: Prompt) -> Forecast:
        found = self._found(prompt)
        if not found:
            return Forecast.unknown(max(1, prompt.max_tokens))
        made = self._made.get(tuple(found))
        if made is None or not made.fresh(self.known_[found[-1]].count, self._count):
            made = self._make(found)
        return made.forecast if prompt.max_tokens >= made.forecast.tokens[-1] else _cut(made, prompt.max_tokens)

    def _found(self, prompt: Prompt) -> list[int]:
        """Keys of the templates that the prompt has; a longer beginning than one that is none is no template either."""
        found = [key for key in _wide_keys(prompt) if key in self.known_]
        found += takewhile(self.known_.__contains__, _beginnings(prompt))
        return found

    def _make(self, found: list[int]) -> _Made:
        law = self.known_[found[0]].law()
        for key in found[1:]:
            lengths = self.known_[key]
            share = lengths.weight / (lengths.weight + self.strength)
            law = share * lengths.law() + (1 - share) * law
        own, every = self.known_[found[-1]].count, self._count
        due = own + 1 + min(own // 8, PATIENCE), every + 1 + min(every // 8, 4 * PATIENCE)
        made = _Made(forecast(quantiles_of(law), LONGEST), *due)
        if len(self._made) > 2 * self.templates:
            self._made.clear()
        self._made[tuple(found)] = made
        return made

    def _met(self, key: int, tokens: int, censored: bool) -> None:  # noqa: FBT001 - the answer's kind
        """Remember an answer to what is no template yet; with enough of them it becomes one."""
        answers = self._candidates.setdefault(key, [])
        answers.append((tokens, censored))
        if len(answers) < self.least and key != ALL:
            self._candidates.move_to_end(key)
            if len(self._candidates) > CANDIDATES * self.templates:
                self._candidates.popitem(last=False)
            return
        del self._candidates[key]
        self.known_[key] = Lengths(self.window).extend(*zip(*answers, strict=True))
        if len(self.known_) > self.templates + 1:  # and ALL
            self._forget()

    def _forget(self) -> None:
        oldest = next(key for key in self.known_ if key != ALL)
        del self.known_[oldest]


class _Made(NamedTuple):
    """A forecast, and the counts of answers, to its template and to all, up to which it serves."""

    forecast: Forecast
    own: int
    all: int

    def fresh(self, own: int, everything: int) -> bool:
        return own < self.own and everything < self.all


def _cut(made: _Made, limit: int) -> Forecast:
    return forecast(made.forecast.tokens, limit)


def _scope(name: str) -> bytes:
    return blake2b(name.encode(errors="surrogatepass"), digest_size=16).digest()


def _key(text: str, seed: bytes) -> int:
    """A hash of the text; seeds are of one length, so no text can pose as another's of another seed."""
    return int.from_bytes(blake2b(seed + text.encode(errors="replace"), digest_size=8).digest(), "little")


@lru_cache(maxsize=4096)
def _roots(model: str, tenant: str) -> tuple[bytes, tuple[int, ...]]:
    """A tenant's scope, and the keys of all, of the model, and of the tenant."""
    own, scope = _scope(model), _scope(f"{tenant}\0{model}")
    return scope, (ALL, _key("", b"m" + own), _key("", b"t" + scope))


def keys(prompt: Prompt) -> Iterator[int]:
    """Keys of what the prompt may have in common with others, the widest first."""
    yield from _wide_keys(prompt)
    yield from _beginnings(prompt)


def _wide_keys(prompt: Prompt) -> tuple[int, ...]:
    """Keys of all, the model, the tenant, the system message and the ending."""
    scope, roots = _roots(prompt.model, prompt.tenant)
    ending = _key(prompt.text[-ENDING:], b"e" + scope)
    first = prompt.messages[0] if prompt.messages else None
    if first is not None and first.role in {"system", "developer"}:
        return (*roots, _key(first.text[:SYSTEM], b"s" + scope), ending)
    return (*roots, ending)


def _beginnings(prompt: Prompt) -> Iterator[int]:
    """Keys of the prompt's beginnings, the shortest first."""
    text, seed = prompt.text, b"p" + _roots(prompt.model, prompt.tenant)[0]
    yield _key(text[: PREFIXES[0]], seed)
    for shorter, longer in pairwise(PREFIXES):
        if len(text) <= shorter:
            break
        yield _key(text[:longer], seed)

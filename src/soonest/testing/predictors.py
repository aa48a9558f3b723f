"""Does a predictor keep what every host relies on?"""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from soonest.core import Forecast, Message, PredictorError, Prompt
from soonest.predict import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SEED = 20_251_121
EXAMPLES = 300

ODD_PROMPTS: Final = (
    Prompt(()),
    Prompt.of(""),
    Prompt.of(" \n\t "),
    Prompt.of("\0\0 NUL \0"),
    Prompt.of("a lone surrogate \ud800 and \udfff another"),
    Prompt.of("word " * 200_000),
    Prompt.of("x" * 1_000_000),
    Prompt.of("请用三句话解释为什么天空是蓝色的。"),
    Prompt.of("اكتب قصة قصيرة عن البحر 🌊👩‍👩‍👧‍👦"),
    Prompt.of("one token at most", max_tokens=1),
    Prompt.from_body(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]}
    ),
    Prompt.from_body({"messages": [None, 3, {"role": 4, "content": {"text": 5}}], "max_tokens": -1, "model": []}),
    Prompt.from_body({"prompt": None}),
    Prompt(
        (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "", 7), Message("user", "More"))
    ),
)
"""What a gateway may be sent: nothing here may raise."""


def check_predictor(make: Callable[[], Predictor]) -> None:
    """Fit, ask, teach, save and load a predictor, on text that it can learn from and text that nobody can.

    `make` gives a new one that has learned nothing. Before it has learned it answers `unknown`. It forecasts in order,
    the same alone and in a batch, and the same again; never beyond a prompt's limit; it never raises on `ODD_PROMPTS`;
    an answer's end teaches it without an error; its folder gives the same forecasts; `parameters` make it again; and
    what it has learned has names that end in `_`.

    Raises:
        PredictorError: which law is broken.
    """
    prompts, tokens = _examples()
    blank = make()
    _check_words(blank)
    for asked, told in zip(ODD_PROMPTS, blank.predict(ODD_PROMPTS), strict=True):
        if told.known or told.high > max(1, asked.max_tokens):
            raise _broken(blank, "before it has learned, every forecast must be `unknown` within the limit")
    fitted = make()
    if fitted.fit(prompts, tokens) is not fitted:
        raise _broken(fitted, "`fit` must return self")
    again = make().fit(prompts, tokens)
    _check_forecasts(fitted, prompts[:20])
    _check_forecasts(fitted, ODD_PROMPTS)
    if fitted.predict(prompts[:50]) != again.predict(prompts[:50]):
        raise _broken(fitted, "fitted again on the same answers, it must forecast the same")
    _check_folder(fitted, prompts[:50])
    for prompt in (*ODD_PROMPTS, *prompts[:20]):
        fitted.update(prompt, 17)
        fitted.update(prompt, 30, censored=True)
    fitted.running({"nobody": 3})
    _check_forecasts(fitted, prompts[:20])
    for columns in ((prompts, tokens[:-1]), ([], [])):
        try:
            make().fit(*columns)
        except PredictorError:
            continue
        raise _broken(fitted, "`fit` on no answers, or on fewer lengths than prompts, must raise PredictorError")


def _examples() -> tuple[list[Prompt], list[int]]:
    """Answers whose length the prompt tells: so many items of a list, in words or not."""
    chance = random.Random(SEED)  # noqa: S311 - a spread, no secret
    prompts, tokens = [], []
    for i in range(EXAMPLES):
        items = chance.choice((1, 2, 3, 5, 8, 20))
        thing = chance.choice(("rivers", "colours", "proofs", "songs"))
        text = f"{chance.choice(('List', 'Describe'))} {items} {thing} number {chance.randrange(1000)}."
        brief = i % 3 == 0
        prompts.append(Prompt.of(text, id=f"r{i}", model="brief" if brief else "m", tenant="t", conversation=f"c{i}"))
        tokens.append(max(1, round(items * chance.uniform(8, 12) * (4 if text[0] == "D" else 1) / (3 if brief else 1))))
    return prompts, tokens


def _check_words(predictor: Predictor) -> None:
    if not re.fullmatch("[a-z_]+", str(predictor.name)):
        raise _broken(predictor, "`name` must be one lowercase word of a-z and _")
    if not re.search(r"\w\.(\s|$)", type(predictor).__doc__ or ""):
        raise _broken(predictor, "its class must have a docstring of at least one sentence")
    parameters = predictor.parameters
    if type(predictor)(**parameters).parameters.keys() != parameters.keys():
        raise _broken(predictor, "`parameters` must make it again")
    private = [n for n in vars(predictor) if not (n.startswith("_") or n.endswith("_") or n in parameters)]
    wrapped = [n for n in private if not _holds_predictors(getattr(predictor, n))]
    if wrapped:
        raise _broken(predictor, f"what is learned must have a name that ends in `_`: {', '.join(wrapped)}")


def _holds_predictors(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, Predictor) for one in value)


def _check_forecasts(predictor: Predictor, prompts: Sequence[Prompt]) -> None:
    together = predictor.predict(prompts)
    if len(together) != len(prompts) or not all(isinstance(f, Forecast) for f in together):
        raise _broken(predictor, "`predict` must give one Forecast for each prompt")
    if predictor.predict(prompts) != together:
        raise _broken(predictor, "asked again, it must forecast the same")
    for prompt, made in zip(prompts, together, strict=True):
        alone = predictor.predict([prompt])[0]
        if alone.known != made.known or not _near(alone, made):
            raise _broken(predictor, "a prompt alone must be forecast as in a batch")
        if max(made.tokens[-1], made.high) > max(1, prompt.max_tokens):
            raise _broken(predictor, "no forecast may go beyond the prompt's `max_tokens`")


def _check_folder(predictor: Predictor, prompts: Sequence[Prompt]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "folder"
        predictor.save_pretrained(folder)
        predictor.save_pretrained(folder)
        loaded = type(predictor).from_pretrained(folder)
    if not all(map(_near, loaded.predict(prompts), predictor.predict(prompts))):
        raise _broken(predictor, "saved and loaded, it must forecast the same")


def _near(one: Forecast, other: Forecast) -> bool:
    """Equal but for the rounding of floating-point sums in another order."""
    pairs = zip(one.tokens, other.tokens, strict=False)
    if (one.known, one.coverage) != (other.known, other.coverage) or not _close(one, other):
        return False
    levels = zip(one.levels, other.levels, strict=False)
    same = len(one.levels) == len(other.levels) and all(abs(a - b) <= 1e-3 for a, b in levels)
    return same and all(abs(a - b) <= 1e-3 * (1 + abs(b)) for a, b in pairs)


def _close(one: Forecast, other: Forecast) -> bool:
    """Intervals whose ends differ by a token at most, or a thousandth."""
    return all(abs(a - b) <= 1 + 1e-3 * b for a, b in ((one.low, other.low), (one.high, other.high)))


def _broken(predictor: Predictor, law: str) -> PredictorError:
    return PredictorError(f"predictor {predictor.name!r} ({type(predictor).__qualname__}): {law}")

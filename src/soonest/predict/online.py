"""A predictor that learns while it serves, and knows when it is useless."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

import numpy as np

from soonest.core import Forecast, Message, PredictorError, Prompt
from soonest.predict import folder as folders
from soonest.predict.predictor import Predictor
from soonest.predict.quantiles import loss
from soonest.predict.stream import Awaited
from soonest.predict.stream.agreement import Agreement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from soonest.predict.folder import Card

STATE: Final = "online.json"
KEPT: Final = 2000
"""Characters of a turn kept for refits, at its beginning and at its end."""
TURNS: Final = 8
LEAST_ANSWERS: Final = 100
"""For a refit."""
HELD_OUT: Final = 0.25
"""Share of recent answers that a refit is tested on."""
FEW: Final = 16
"""Prompts that a refit asks the serving predictor about at once."""
REST: Final = 20
FOUND: Final = 20.0
LOST: Final = 50.0
"""Wealth at which the test of agreement speaks: an error of 1/20, and one in 50 answers at the worst."""


class Answer(NamedTuple):
    """A finished request, with what was forecast of it by the base of that generation, `None` where it did not know."""

    prompt: Prompt
    tokens: int
    cut: bool
    forecast: Forecast | None
    generation: int


class Online(Predictor):
    """Any predictor, refitted on recent answers when that helps, and silent when its order says nothing.

    Silent means `unknown`: policies then serve in arrival order. It begins so, unless the card of what it wraps states
    a rank agreement with held-out answers that is positive. It speaks once the sequential test of `Agreement` finds
    one, and falls silent again when the test finds it lost. The test sees answers that have ended: under a policy that
    serves the short first it measures the order among the served, and hardly that of those forecast to be long.

    Every `every` answers a copy of the base learns from the last `window` but for the newest quarter, and takes the
    base's place if it predicts that quarter better. `refit` is `background` (a thread, which rests so that it works
    at most a twentieth of the time), `inline` (within `update`, for simulations) or `never`.
    """

    name = "online"

    def __init__(
        self,
        base: Predictor,
        window: int = 4000,
        every: int = 250,
        least: float = 0.1,
        refit: Literal["background", "inline", "never"] = "background",
    ) -> None:
        if not isinstance(base, Predictor):
            raise PredictorError(f"online wraps a predictor, such as online(text), got {base!r}")
        if refit not in {"background", "inline", "never"}:
            raise PredictorError(f"refit must be background, inline or never, got {refit!r}")
        if not (every >= 1 and window >= LEAST_ANSWERS and 0 < least < 1):
            raise PredictorError(f"online needs every >= 1, window >= {LEAST_ANSWERS} and least in (0, 1)")
        self.base, self.window, self.every, self.least, self.refit = base, window, every, least, refit
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._useful: bool | None = None
        self._since = self._told = self._generation = 0
        self._rests_until = 0.0
        self.refit_error_: str | None = None
        self._clear()

    @property
    def quick(self) -> bool:
        """Whether what it wraps is."""
        return self.base.quick

    @property
    def learns(self) -> bool:
        """It refits what it wraps, unless that is `never` done."""
        return self.refit != "never" or self.base.learns

    @property
    def sees_as_text(self) -> bool:
        """Whether what it wraps needs no more."""
        return self.base.sees_as_text

    @property
    def parameters(self) -> dict[str, object]:
        """What was given."""
        return {name: getattr(self, name) for name in ("base", "window", "every", "least", "refit")}

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Self:
        """Fit the base; nothing is known of its use until answers agree with it, or a card says so."""
        with self._lock:
            self.base.fit(prompts, tokens, censored)
            self.card_ = self.base.card_ = None
            self._clear()
        return self

    @property
    def useful(self) -> bool:
        """Whether forecasts are given at all."""
        if self._useful is None:
            card = self.card_ or self.base.card_
            self._useful = card is not None and agreement_stated(card)
        return self._useful

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The base's forecasts while they are of use, else `unknown`."""
        with self._lock:
            forecasts = self.base.predict(prompts)
            for prompt, made in zip(prompts, forecasts, strict=True):
                self._open.put(prompt.id, (made, self._generation))
            if self.useful:
                return forecasts
        return [Forecast.unknown(max(1, prompt.max_tokens)) for prompt in prompts]

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002
        """Test and remember one answer; every so often, refit.

        An answer cut before the prompt's own limit, by a client that went away, tests and teaches no order.
        """
        with self._lock:
            asked = self._open.take(prompt.id)
            made, generation = asked or (self.base.predict([prompt])[0], self._generation)
            self.base.update(prompt, tokens, censored)
            if censored and tokens < prompt.max_tokens:
                return
            if made.known and generation == self._generation:
                self._test(made.expected, tokens)
            self._answers.append(Answer(shortened(prompt), tokens, censored, made if made.known else None, generation))
            self._told += 1
            self._since += 1
            due = self.refit != "never" and self._since >= self.every and len(self._answers) >= LEAST_ANSWERS
            background = self.refit == "background"
            if not due or (background and time.monotonic() < self._rests_until):
                return
            if self._thread is not None and self._thread.is_alive():
                return
            self._since = 0
            if background:
                self._thread = threading.Thread(target=self._refit_and_rest, name="soonest-refit", daemon=True)
                self._thread.start()
        if self.refit == "inline":
            self._refit()

    def _refit_and_rest(self) -> None:
        """In a thread, which takes time from whoever serves: afterwards it rests `REST` times as long as it worked."""
        began = time.monotonic()
        self._refit()
        ended = time.monotonic()
        self._rests_until = ended + REST * (ended - began)

    def running(self, generated: Mapping[str, int]) -> None:
        """Passed on."""
        with self._lock:
            self.base.running(generated)

    def save_state(self, folder: Path) -> None:
        """Whether it was of use; the answers, which hold prompts, are not saved."""
        folders.write_json(folder / STATE, {"useful": self.useful})

    def load_state(self, folder: Path) -> None:
        """Whether it was of use, which goes before any card."""
        useful = folders.read_json(folder / STATE).get("useful")
        if not isinstance(useful, bool):
            raise PredictorError(f"{folder / STATE}: need `useful`, true or false")
        self._useful = useful

    def wait(self) -> None:
        """Wait for a refit in the background, if one is on its way."""
        if self._thread is not None:
            self._thread.join()

    def _clear(self) -> None:
        self._agreement = Agreement(self.least)
        self._useful = None
        self._answers: deque[Answer] = deque(maxlen=self.window)
        self._open: Awaited[tuple[Forecast, int]] = Awaited()
        self._since = self._told = 0
        self._generation += 1

    def _test(self, expected: float, tokens: int) -> None:
        self._agreement.add(expected, tokens)
        if self.useful and self._agreement.lost > LOST:
            self._useful = False
            self._agreement.restart()
        elif not self.useful and self._agreement.found > FOUND:
            self._useful = True
            self._agreement.restart()

    def _refit(self) -> None:
        with self._lock:
            answers, told, generation, base = list(self._answers), self._told, self._generation, self.base
        if len(answers) < LEAST_ANSWERS:  # it was fitted anew before this thread began
            return
        fresh = unfitted(base)
        held = max(1, int(HELD_OUT * len(answers)))
        learn, check = answers[:-held], answers[-held:]
        try:
            fresh.fit([a.prompt for a in learn], [a.tokens for a in learn], [a.cut for a in learn])
        except PredictorError as error:
            if self.refit_error_ is None:
                warnings.warn(f"`online` cannot refit: {error}", RuntimeWarning, stacklevel=2)
            self.refit_error_ = str(error)
            return
        forecasts = fresh.predict([a.prompt for a in check])
        serving = self._serving(base, generation, check)
        if not better(forecasts, serving, [a.tokens for a in check]):
            return
        test, spoke = Agreement(self.least), False
        for made, answer in zip(forecasts, check, strict=True):
            if made.known:
                test.add(made.expected, answer.tokens)
                spoke |= test.found > FOUND
            fresh.update(answer.prompt, answer.tokens, answer.cut)
        with self._lock:
            if self._generation != generation:  # it was fitted anew meanwhile
                return
            late = self._told - told
            for answer in list(self._answers)[len(self._answers) - min(late, len(self._answers)) :]:
                fresh.update(answer.prompt, answer.tokens, answer.cut)
            self.base, self._agreement, self._useful = fresh, test, spoke
            self._generation += 1

    def _serving(self, base: Predictor, generation: int, check: Sequence[Answer]) -> list[Forecast | None]:
        """What the base that serves says of answers: what it said at the time, if it was the one that was asked.

        It is asked of a few at once, so that whoever serves waits for the lock no longer, and without their ids, which
        it would remember as requests that run.
        """
        asked = [replace(a.prompt, id="") for a in check if a.generation != generation]
        again: list[Forecast] = []
        for start in range(0, len(asked), FEW):
            with self._lock:
                again += base.predict(asked[start : start + FEW])
        said = iter(again)
        return [a.forecast if a.generation == generation else next(said) for a in check]


def unfitted(predictor: Predictor) -> Predictor:
    """Another one with the same arguments that has learned nothing."""
    parameters = {k: unfitted(v) if isinstance(v, Predictor) else v for k, v in predictor.parameters.items()}
    return type(predictor)(**parameters)


def better(forecasts: Sequence[Forecast], serving: Sequence[Forecast | None], tokens: Sequence[int]) -> bool:
    """Whether these forecasts lose less than those of what serves, by over a standard error of the difference."""
    rows = [(f, s, t) for f, s, t in zip(forecasts, serving, tokens, strict=True) if f.known]
    if len(rows) < len(tokens) / 2:
        return False
    gains = np.array([loss(old, t) - loss(new, t) for new, old, t in rows if old is not None and old.known])
    if len(gains) < 2:
        return True
    return bool(gains.mean() > gains.std(ddof=1) / math.sqrt(len(gains)))


def agreement_stated(card: Card) -> bool:
    """Whether a card states a Kendall rank correlation with held-out answers that is positive beyond chance (5 %)."""
    tau, n = card.measured.get("kendall_tau", 0.0), card.measured.get("answers", 0.0)
    return n >= 10 and tau > 1.645 * math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))


def shortened(prompt: Prompt) -> Prompt:
    """The prompt with its first and last turns only, and of each turn its beginning and end; lengths are kept."""
    turns = prompt.messages if len(prompt.messages) <= TURNS else (prompt.messages[0], *prompt.messages[1 - TURNS :])
    return replace(prompt, messages=tuple(_short(turn) for turn in turns), prompt_tokens=prompt.length)


def _short(turn: Message) -> Message:
    if len(turn.text) <= 2 * KEPT:
        return turn
    return Message(turn.role, f"{turn.text[:KEPT]} {turn.text[-KEPT:]}", turn.length)

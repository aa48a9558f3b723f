"""Predictors to compare with: naive, upside down, or done with learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.predict import Conformal, Constant, Predictor
from soonest.predict.quantiles import forecast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.core import Forecast, Prompt


class Naive(Conformal):
    """One correction for all, from whatever has ended, in order of ending; who runs or waits is not looked at."""

    def __init__(self, base: Predictor) -> None:
        super().__init__(base, strata=1)

    def running(self, generated: Mapping[str, int]) -> None:
        """Looks away."""


class Ended(Predictor):
    """Ranks by the base; its interval is the central 90 % of the answers that have ended."""

    name = "ended"

    def __init__(self, base: Predictor) -> None:
        self.base, self.all_ = base, Constant(1000)

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Ended:
        """Starts from these answers."""
        self.all_.fit(prompts, tokens, censored)
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The base's distribution, with the interval of the ended."""
        interval = self.all_.predict(prompts[:1])[0]
        ends = float(interval.low), float(interval.high)
        return [
            forecast(f.tokens, p.max_tokens, 0.9, ends)
            for p, f in zip(prompts, self.base.predict(prompts), strict=True)
        ]

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002
        """One more has ended."""
        self.all_.update(prompt, tokens, censored)


class Inverted(Predictor):
    """Upside down: the higher the base's expectation, the shorter the forecast."""

    name = "inverted"

    def __init__(self, base: Predictor) -> None:
        self.base = base

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The base's quantiles, divided by the square of its mean in units of 100 tokens."""
        return [
            forecast([t * (100 / max(f.expected, 1.0)) ** 2 for t in f.tokens], p.max_tokens)
            for p, f in zip(prompts, self.base.predict(prompts), strict=True)
        ]


class Still(Predictor):
    """A predictor that has learned elsewhere: fitting it again changes nothing."""

    name = "still"

    def __init__(self, base: Predictor) -> None:
        self.base = base

    def fit(self, prompts: object, tokens: object, censored: object = None) -> Still:  # noqa: ARG002
        """Learns nothing."""
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The base's forecasts."""
        return self.base.predict(prompts)

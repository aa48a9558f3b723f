"""The predictor `text`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from soonest.core import Forecast, PredictorError
from soonest.predict.predictor import Predictor, columns
from soonest.predict.quantiles import forecast, quantile_row
from soonest.predict.text.arrays import load, save
from soonest.predict.text.model import QUANTILES, Model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from soonest.core import Prompt

LEAST: Final = 50
"""Examples that a fit needs."""


class Text(Predictor):
    """Quantiles from the words of a prompt, its form, and how long earlier answers were; a fraction of a millisecond.

    Ridge regressions on hashed n-grams, stacked into boosted trees. It looks at the first and the last 1,000 characters
    of the last turn, and at lengths alone of the turns before. Trained with scikit-learn and LightGBM, served by NumPy.
    No forecast goes beyond the longest answer learned from. `update` learns nothing: fit it again, off the path
    (`online` does).
    """

    name = "text"

    def __init__(self, seed: int = 0) -> None:
        if type(seed) is not int or not 0 <= seed < 1 << 31:
            raise PredictorError(f"seed must be a whole number from 0 to 2^31 - 1, got {seed!r}")
        self.seed = seed
        self.model_: Model | None = None

    @property
    def sees_as_text(self) -> bool:
        """It is `text`."""
        return True

    @property
    def parameters(self) -> dict[str, object]:
        """The seed."""
        return {"seed": self.seed}

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Self:
        """Learn from at least 50 answers; the same for the same seed. A cut answer counts as long as it got.

        Raises:
            PredictorError: too few examples, columns of different lengths, or what training needs is not installed.
        """
        prompts, counts, _ = columns(prompts, tokens, censored, LEAST)
        try:
            from soonest.predict.text.train import train  # noqa: PLC0415 - what serves needs NumPy alone

            self.model_ = train(prompts, counts, self.seed)
        except ImportError as error:
            raise PredictorError(
                f"fitting `text` needs more packages: pip install 'soonest[text]' ({error})"
            ) from error
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """Quantiles of each prompt's answer; `unknown` before a fit."""
        if self.model_ is None:
            return [Forecast.unknown(max(1, prompt.max_tokens)) for prompt in prompts]
        model, longest = self.model_, int(self.model_.longest)
        return [
            forecast(quantile_row(model.quantiles(prompt), QUANTILES), min(longest, prompt.max_tokens))
            for prompt in prompts
        ]

    def save_state(self, folder: Path) -> None:
        """The linear models and the trees."""
        if self.model_ is None:
            raise PredictorError("fit `text` before saving it")
        save(self.model_, folder)

    def load_state(self, folder: Path) -> None:
        """The linear models and the trees, checked."""
        self.model_ = load(folder)

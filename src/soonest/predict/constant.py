"""The same forecast for every prompt: running quantiles of all answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from soonest.core import Forecast, PredictorError
from soonest.predict import folder as folders
from soonest.predict.predictor import Predictor, columns
from soonest.predict.quantiles import LONGEST, forecast
from soonest.predict.stream import Lengths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from soonest.core import Prompt


class Constant(Predictor):
    """The baseline to beat: it knows how long answers are, and nothing of the prompt.

    Older answers fade: all together weigh as much as `window` new ones. At any time all prompts get the same forecast;
    it drifts as answers come.
    """

    name = "constant"
    quick = True

    def __init__(self, window: float = 2000) -> None:
        if not 1 < window <= 1e9:
            raise PredictorError(f"window must be a number of answers over 1, got {window}")
        self.window = window
        self.lengths_ = Lengths(window)
        self._made: tuple[list[float], Forecast] | None = None

    @property
    def sees_as_text(self) -> bool:
        """It looks at no prompt."""
        return True

    @property
    def parameters(self) -> dict[str, object]:
        """The window."""
        return {"window": self.window}

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Self:
        """Start anew from these answers, oldest first."""
        _, counts, cut = columns(prompts, tokens, censored)
        self.lengths_ = Lengths(self.window).extend(counts, cut)
        self._made = None
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The law of recent answers, for all; `unknown` before the first."""
        if not self.lengths_.count:
            return [Forecast.unknown(max(1, prompt.max_tokens)) for prompt in prompts]
        quantiles = self.lengths_.quantiles()
        if self._made is None or self._made[0] is not quantiles:
            self._made = quantiles, forecast(quantiles, LONGEST)
        made = self._made[1]
        return [made if p.max_tokens >= made.tokens[-1] else forecast(quantiles, p.max_tokens) for p in prompts]

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """One answer more."""
        self.lengths_.add(tokens, censored)

    def save_state(self, folder: Path) -> None:
        """The histogram."""
        folders.write_arrays(folder, {"lengths": self.lengths_.state()})

    def load_state(self, folder: Path) -> None:
        """The histogram, as this version has it."""
        found = folders.read_arrays(folder, {"lengths": ("f", 2)})
        try:
            self.lengths_ = Lengths.restored(self.window, found["lengths"])
        except ValueError as error:
            raise PredictorError(f"{folder / 'weights.npz'}: {error}") from None

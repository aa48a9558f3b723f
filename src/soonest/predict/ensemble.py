"""Several predictors as one, weighed by how well each has done of late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from soonest.core import Forecast, PredictorError
from soonest.predict import folder as folders
from soonest.predict.predictor import Predictor, columns
from soonest.predict.quantiles import at_levels, forecast, loss
from soonest.predict.split import split_by_conversation
from soonest.predict.stream import Awaited

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.core import Prompt


class Ensemble(Predictor):
    """The mean of its members' log quantiles, level by level, weighed by recent loss.

    A member's weight is exp(-L), where L is its pinball loss on log lengths summed over recent answers, each counting a
    little less than the next: together as much as `memory` new ones (exponential weights: Vovk, 1990). A member that
    does not know a prompt has no say about it.
    """

    name = "ensemble"

    def __init__(
        self, *members: Predictor, memory: float = 300, share: float = 0.2, seed: int = 0, **named: Predictor
    ) -> None:
        found = (*members, *named.values())
        for name, given in named.items():
            if not isinstance(given, Predictor):
                raise PredictorError(f"ensemble does not take {name!r}; it takes predictors, memory, share and seed")
        if not found or not all(isinstance(member, Predictor) for member in found):
            raise PredictorError("an ensemble needs predictors as members, such as ensemble(history, text)")
        if not (memory > 1 and 0 < share < 1):
            raise PredictorError(f"an ensemble needs memory > 1 and share in (0, 1), got {memory} and {share}")
        self.members, self.memory, self.share, self.seed = found, memory, share, seed
        self.losses_: NDArray[np.float64] = np.zeros(len(found))
        self._open: Awaited[list[Forecast]] = Awaited()

    @property
    def quick(self) -> bool:
        """Whether all its members are."""
        return all(member.quick for member in self.members)

    @property
    def learns(self) -> bool:
        """Whether a member does."""
        return any(member.learns for member in self.members)

    @property
    def sees_as_text(self) -> bool:
        """Whether no member needs more."""
        return all(member.sees_as_text for member in self.members)

    @property
    def parameters(self) -> dict[str, object]:
        """The members as `member_0`, `member_1`, ..., and what else was given."""
        members = {f"member_{i}": member for i, member in enumerate(self.members)}
        return {"memory": self.memory, "share": self.share, "seed": self.seed, **members}

    @property
    def weights(self) -> NDArray[np.float64]:
        """Of each member, of shape (members,), adding up to 1."""
        weights = np.exp(self.losses_.min() - self.losses_)
        return np.asarray(weights / weights.sum())

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Self:
        """Fit all members on most conversations, and weigh them by the others."""
        prompts, counts, cut = columns(prompts, tokens, censored, least=2)
        learn, check = split_by_conversation(prompts, self.share, self.seed)
        for member in self.members:
            member.fit([prompts[i] for i in learn], [counts[i] for i in learn], [cut[i] for i in learn])
        self.losses_[:] = 0
        asked = [prompts[i] for i in check]
        for i, *made in zip(check, *(member.predict(asked) for member in self.members), strict=True):
            if not cut[i]:
                self._weigh(made, counts[i])
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The weighted mean of what the members know."""
        rows = zip(*(member.predict(prompts) for member in self.members), strict=True)
        return [self._combined(prompt, list(row)) for prompt, row in zip(prompts, rows, strict=True)]

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002
        """Weigh the members by one answer, and let each learn from it; a cut answer weighs none."""
        made = self._open.take(prompt.id)
        if made is None:
            made = [member.predict([prompt])[0] for member in self.members]
        if not censored:
            self._weigh(made, tokens)
        for member in self.members:
            member.update(prompt, tokens, censored)

    def running(self, generated: Mapping[str, int]) -> None:
        """Passed on."""
        for member in self.members:
            member.running(generated)

    def save_state(self, folder: Path) -> None:
        """The members' losses."""
        folders.write_arrays(folder, {"losses": self.losses_})

    def load_state(self, folder: Path) -> None:
        """The members' losses, as many as there are members."""
        found = folders.read_arrays(folder, {"losses": ("f", 1)})["losses"]
        if len(found) != len(self.members):
            raise PredictorError(f"{folder / 'weights.npz'}: holds {len(found)} losses for {len(self.members)} members")
        self.losses_ = np.asarray(found, dtype=np.float64)

    def _weigh(self, made: Sequence[Forecast], tokens: int) -> None:
        """Members that did not know are taken to have lost as much as the mean of those that did."""
        losses = [loss(forecast, tokens) if forecast.known else None for forecast in made]
        known = [one for one in losses if one is not None]
        if known:
            mean = sum(known) / len(known)
            self.losses_ *= 1 - 1 / self.memory
            self.losses_ += [mean if one is None else one for one in losses]

    def _combined(self, prompt: Prompt, made: list[Forecast]) -> Forecast:
        self._open.put(prompt.id, made)
        known = [i for i, one in enumerate(made) if one.known]
        if not known:
            return Forecast.unknown(max(1, prompt.max_tokens))
        if len(known) == 1:
            return made[known[0]]
        weights = self.weights[known]
        logs = np.log1p([at_levels(made[i]) for i in known])
        return forecast(np.expm1(weights @ logs / weights.sum()).tolist(), prompt.max_tokens)

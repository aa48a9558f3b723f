"""The contract of everything that turns a prompt into a forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from soonest.core import PredictorError
from soonest.predict import folder as folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from soonest.core import Forecast, Prompt
    from soonest.predict.folder import Card


class Predictor:
    """Forecasts of output tokens from prompts, learned from answers.

    Subclass it, take only plain arguments (and other predictors) in `__init__`, store them under their own names, end
    learned attributes in `_`, and register the class under the entry-point group `soonest.predictors`.
    `soonest.testing.check_predictor` checks the contract. Nothing here raises on odd text.
    """

    name: ClassVar[str] = ""
    """One lowercase word, the same in code, on the command line, in folders and in the docs."""
    source: ClassVar[str] = ""
    """The paper or system it comes from."""
    card_: Card | None = None
    """What was measured of it when it was fitted; saved with it."""

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Self:
        """Learn from answers of `tokens` output tokens; a `censored` one was cut there, so it is at least as long.

        Raises:
            PredictorError: too few examples, or columns of different lengths.
        """
        raise NotImplementedError

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """A forecast for each prompt, in order. Never raises; knows nothing before it has learned: `unknown`."""
        raise NotImplementedError

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002 - the answer's kind
        """Learn from one answer, which ended after `tokens`, or was cut there."""

    def running(self, generated: Mapping[str, int]) -> None:
        """Hear how far the unfinished answers are: tokens by request id, of all requests that run now."""

    @property
    def quick(self) -> bool:
        """Whether it answers in microseconds, so that a host may ask it on its event loop; others get a thread."""
        return False

    @property
    def learns(self) -> bool:
        """Whether it can begin to forecast from the answers that `update` tells it, with no `fit` before."""
        return type(self).update is not Predictor.update

    @property
    def sees_as_text(self) -> bool:
        """Whether it needs no more of a prompt than `text` sees, so that texts may stay where they were read."""
        return False

    @property
    def parameters(self) -> dict[str, object]:
        """What `__init__` was given, by name; wrapped predictors included."""
        return {}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder with `config.json`, weights and a model card; whole or not at all.

        Raises:
            PredictorError: the folder cannot be written.
        """
        folders.save(self, folder)

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> Self:
        """The predictor in a folder, or in a repository of the Hugging Face hub; runs no code from it.

        Raises:
            PredictorError: no such folder, or a file in it is missing, corrupted or foreign: it is named.
        """
        found = folders.load(name, revision)
        if not isinstance(found, cls):
            raise PredictorError(f"{name}: holds a predictor {found.name!r}, not {cls.name!r}")
        return found

    def save_state(self, folder: Path) -> None:
        """Write what was learned into this folder, without pickle; wrapped predictors write themselves."""

    def load_state(self, folder: Path) -> None:
        """Read what `save_state` wrote, checked before it is believed."""


def columns(
    prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None, least: int = 1
) -> tuple[list[Prompt], list[int], list[bool]]:
    """The arguments of `fit`, checked."""
    counts = [int(count) for count in tokens]
    cut = [False] * len(counts) if censored is None else [bool(c) for c in censored]
    if not len(prompts) == len(counts) == len(cut):
        raise PredictorError(f"need as many prompts as lengths, got {len(prompts)}, {len(counts)} and {len(cut)}")
    if len(counts) < least:
        raise PredictorError(f"need at least {least} answers to learn from, got {len(counts)}")
    if min(counts) < 0:
        raise PredictorError("an answer cannot have fewer than 0 tokens")
    return list(prompts), counts, cut

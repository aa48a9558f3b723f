"""Prompts and predictors of `soonest sim`, from their flags."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.studies import Arm
    from soonest.studies.live import Asked


def predictors(words: Sequence[str]) -> dict[str, str]:
    """Folders by the names that policies call them."""
    from soonest.core import SimulationError
    from soonest.sim import SOURCES

    found = {}
    for word in words:
        name, sign, folder = word.partition("=")
        key = name if sign else ("predictor" if len(words) == 1 else Path(word).name)
        if key in found or key in SOURCES or not re.fullmatch(r"[\w.-]+", key):
            raise SimulationError(
                f"--predictor {word}: call it something else, as in --predictor mine={folder or word}"
            )
        found[key] = folder or word
    return found


def check_named(named: dict[str, str], arms: Sequence[Arm]) -> None:
    """Refuse a predictor that no policy is told."""
    from soonest.core import SimulationError

    for name in named:
        if all(arm.forecast != name for arm in arms):
            raise SimulationError(f"no policy is told the predictor {name!r}: name it, as in --policy shortest@{name}")


def prompts(
    path: Path, model: str | None, share: float | None, cut: int | None, seed: int, named: dict[str, str]
) -> Asked:
    """Prompts to serve, and the predictors that read them; a wrong folder is refused before long work."""
    from functools import partial

    from soonest.core import SimulationError
    from soonest.data.examples import guess_columns, read_examples
    from soonest.studies.live import Asked, loaded

    typer.echo(f"{path}: {guess_columns(path)}", err=True)
    examples = read_examples(path, model=model, cut=cut)
    if share is not None:
        if not 0 < share < 1:
            raise SimulationError(f"--test-share must lie between 0 and 1, got {share:g}")
        examples = examples.split((1 - share, share), seed)[1]
    for folder in named.values():
        loaded(folder)
    return Asked(examples, {name: partial(loaded, folder) for name, folder in named.items()})

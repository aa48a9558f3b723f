"""Questions for the tiny model that its forecasts were not fitted on."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Final

from soonest.engines.tiny.tasks import Dice, example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEARN_SEED: Final = 3000
"""Of the questions whose answers the forecasts are fitted on."""
KINDS: Final = 2
"""Each was answered so often: greedily, and drawn."""


def fitted(forecasts: Path) -> frozenset[str]:
    """The questions that a folder of forecasts was fitted on; how many, its card says. None where there is no card."""
    try:
        examples = int(json.loads((forecasts / "config.json").read_text(encoding="utf-8"))["card"]["examples"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    return frozenset(islice(_asked(LEARN_SEED), examples // KINDS))


def fresh(n: int, seed: int, forecasts: Path) -> tuple[list[str], float]:
    """So many of the questions that `prompts` draws, but for those of `fitted`; and the share that was left out."""
    known, asked, kept, left_out = fitted(forecasts), _asked(seed), list[str](), 0
    while len(kept) < n:
        if (question := next(asked)) in known:
            left_out += 1
        else:
            kept.append(question)
    return kept, left_out / max(1, left_out + n)


def _asked(seed: int) -> Iterator[str]:
    dice = Dice(seed)
    while True:
        yield example(dice).prompt

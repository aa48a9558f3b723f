"""The prompt sets that forecasts are measured on, and how they are split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import Message
from soonest.data.examples import Examples, read_examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from soonest.core import Prompt

LARGE: Final = 9000
FOLDS: Final = 4
SIX: Final = (
    "Meta-Llama-3.1-8B-Instruct-Turbo",
    "gpt-4o-mini-2024-07-18",
    "gpt-3.5-turbo-0613",
    "Mistral-7B-Instruct-v0.3",
    "vicuna-13b-v1.5",
    "claude-2.1",
)


@dataclass(frozen=True)
class Set:
    """A file of prompts and lengths; Kendall's tau that `text` is to reach on it, and what a baseline has.

    The baseline: ridge on TF-IDF stacked into gradient boosting, in the data's README. `blind` hides what was said
    before the last turn but for its length in tokens, as the baseline saw it; a gateway sees all earlier turns.
    """

    name: str
    file: str
    models: tuple[str, ...] = ()
    cut: int | None = None
    target: float = 0.0
    baseline: float = 0.0
    blind: bool = False

    def read(self, folder: Path) -> Examples:
        """All its examples."""
        path = folder / "lengths" / self.file
        parts = [read_examples(path, model=model, cut=self.cut) for model in self.models or (None,)]
        found = parts[0] if len(parts) == 1 else Examples.joined(parts)
        return replace(found, prompts=tuple(map(blinded, found.prompts))) if self.blind else found


def blinded(prompt: Prompt) -> Prompt:
    """The last turn, and one message as long as all before it."""
    before = sum(message.length for message in prompt.earlier)
    return replace(
        prompt, messages=(Message("assistant", "", before), prompt.messages[-1]) if before else prompt.messages
    )


SETS: Final = (
    Set("alpaca_vicuna7b", "alpaca_vicuna7b.jsonl.gz", target=0.58, baseline=0.56),
    Set("sharegpt", "sharegpt_chatgpt.jsonl.gz", target=0.28, baseline=0.26),
    Set("sharegpt, blind", "sharegpt_chatgpt.jsonl.gz", blind=True, target=0.28, baseline=0.26),
    Set("mmlu_pro", "mmlu_pro_cot_2models.jsonl.gz", ("Meta-Llama-3_1-8B-Instruct",), 2048, 0.54, 0.52),
    Set("alpaca_eval", "alpaca_eval_12models.jsonl.gz", SIX, target=0.30, baseline=0.29),
)


def folds(examples: Examples, seed: int) -> Iterator[tuple[Examples, Examples]]:
    """Pairs of what is learned from and what is tested, by prompt or conversation.

    One split of 75 to 25 for sets of over 9,000 rows, four folds for smaller ones.
    """
    names = np.unique(examples.groups)
    part = np.random.default_rng(seed).permutation(len(names)) * FOLDS // len(names)
    fold = part[np.searchsorted(names, examples.groups)]
    for k in range(1 if len(examples) > LARGE else FOLDS):
        yield examples.take(fold != k), examples.take(fold == k)

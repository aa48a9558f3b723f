"""Splits that keep a conversation whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from soonest.data.examples import group_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.core import Prompt


def split_by_conversation(prompts: Sequence[Prompt], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows to learn from, and about `share` of the rows to check with: never over twice as many, if groups are small.

    Prompts of one conversation, or with the same first question where they name none, stay together.
    """
    groups: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        groups.setdefault(group_of(prompt), []).append(i)
    names = list(groups.values())
    most = 2 * share * len(prompts)
    check: list[int] = []
    for j in np.random.default_rng(seed).permutation(len(names)).tolist():
        size = len(check) + len(names[j])
        if len(check) < share * len(prompts) and size <= most and size < len(prompts):
            check += names[j]
    if not check and len(names) > 1:
        check = min(names, key=len)
    held = set(check)
    return [i for i in range(len(prompts)) if i not in held], sorted(check)

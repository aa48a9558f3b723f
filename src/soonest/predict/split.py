"""Splits that keep a conversation whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from soonest.data.examples import group_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.core import Prompt


def split_by_conversation(prompts: Sequence[Prompt], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows to learn from, and about `share` of the rows to check with; each side has at least one where it can.

    Prompts of one conversation, or with the same first question where they name none, stay together.
    """
    groups: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        groups.setdefault(group_of(prompt), []).append(i)
    names = list(groups.values())
    order = np.random.default_rng(seed).permutation(len(names))
    check: list[int] = []
    for taken, j in enumerate(order.tolist()):
        if taken == len(names) - 1 or (taken and len(check) >= share * len(prompts)):
            break
        check += names[j]
    held = set(check)
    return [i for i in range(len(prompts)) if i not in held], sorted(check)

"""Prompt sets: texts with the lengths of their answers, and no arrivals.

Prompts are counted in characters, not tokens: a prompt of n characters counts as n / 4 tokens, rounded up. That is near
the truth for English text and common tokenizers and too low for most other scripts. ShareGPT's answers are counted the
same way; the other sets state their answers' tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from soonest.core.prompt import approximate_tokens
from soonest.data.source import Columns, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.data.source import Choice, Place


def prompt_columns(place: Place, rows: Sequence[Mapping[str, object]], choice: Choice) -> Columns:
    """Rows of `{"prompt", "output_tokens"}` (vLLM) or `{"text_input", "output_length"}` (aiperf).

    `output_tokens` is a number, or an object from models to numbers; a row without the model chosen is left out.
    """
    words, counts = ("text_input", "output_length") if "text_input" in rows[0] else ("prompt", "output_tokens")
    prompts = [row.get(words) for row in rows]
    several = [isinstance(row.get(counts), dict) for row in rows]
    if any(several):
        answers = [_of_model(place, i, counts, row.get(counts), choice) for i, row in enumerate(rows)]
        chosen = None
    else:
        answers = [row.get(counts) for row in rows]
        chosen = choice.rows([str(row.get("model", "")) for row in rows])
    return Columns(
        output=whole(place, counts, answers),
        prompt=np.array([_tokens(place, i, words, text) for i, text in enumerate(prompts)], dtype=np.int64),
        chosen=chosen,
    )


def talk_columns(place: Place, rows: Sequence[Mapping[str, object]], choice: Choice) -> Columns:
    """ShareGPT's conversations: turn 0 is the prompt, turn 1 the answer; one with fewer turns has no answer."""
    prompt, output = np.zeros((2, len(rows)), dtype=np.int64)
    for i, row in enumerate(rows):
        turns = row.get("conversations")
        if not isinstance(turns, list):
            raise place.wrong(i, "conversations", "need a list of turns")
        values = [turn.get("value") if isinstance(turn, dict) else None for turn in turns[:2]]
        counts = [_tokens(place, i, f"conversations[{turn}].value", value) for turn, value in enumerate(values)]
        if len(counts) > 1:
            prompt[i], output[i] = counts
    return Columns(output=output, prompt=prompt, chosen=choice.rows([str(row.get("model", "")) for row in rows]))


def _of_model(place: Place, row: int, column: str, value: object, choice: Choice) -> object:
    """One model's answer length; 0, so left out, where the row lacks that model."""
    if not isinstance(value, dict):
        raise place.wrong(row, column, "other rows have an object from models to tokens here, this one has none")
    choice.met.update(value)
    if choice.model is None and len(value) != 1:
        raise place.wrong(row, column, f"several models: choose one with model=: {', '.join(sorted(value))}")
    return next(iter(value.values())) if choice.model is None else value.get(choice.model, 0)


def _tokens(place: Place, row: int, column: str, text: object) -> int:
    if not isinstance(text, str):
        raise place.wrong(row, column, "need a text")
    return approximate_tokens(text)

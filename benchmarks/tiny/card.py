"""The tiny model's card: what it is, how it was made, and what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.tiny.answers import Answer
    from benchmarks.tiny.train import Size, Trained


@dataclass(frozen=True, slots=True)
class Measured:
    """What the card says of the answers: scores by task, the answers themselves, and the forecasts' measures."""

    greedy: Mapping[str, tuple[int, float, float]]
    drawn: Mapping[str, tuple[int, float, float]]
    greedy_answers: Sequence[Answer]
    drawn_answers: Sequence[Answer]
    forecasts: Mapping[str, float]
    forecasts_greedy: Mapping[str, float]
    forecasts_drawn: Mapping[str, float]


HEAD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags:
- llama
- tiny
- output-length-prediction
---
# soonest-tiny

A Llama of {parameters:,} parameters that does small tasks: it counts, spells, lists, repeats, adds and tells stories of
parts. It is here so that a real engine with real answers of very different lengths runs anywhere, with no GPU and no
download. It is of no use as an assistant.

- **Shape**: {size.layers} layers, {size.hidden} wide, {size.heads} heads of {head}, {vocabulary} tokens (byte-level
  pairs; a number up to 150 is a token), {size.positions} positions; weights in float16
- **Learned from**: text that it makes itself (`soonest.engines.tiny.tasks`), {trained.tokens:,} tokens, answers only;
  10 % of the talks have a system message, 10 % an earlier turn
- **Trained by**: `{command}`,
  {trained.seconds:.0f} s on one thread of a busy CPU; {size.steps:,} steps, Muon and AdamW
- **Loss at the end**: {trained.loss:.4f} nats an answer token, drawn stories and opinions included
- **Samples by default** at temperature 1 from the top 95 %

It has seen short questions in the words of its tasks, and numbers up to about 150. Other questions get the sentence
that says what it can do, or something odd. How many parts a story has depends on its hero, its place, `short` or
`long`, and chance.

## Answers

To {asked:,} questions that are new draws from the same tasks, at most 512 tokens. Right means the exact answer; of
stories and opinions, that there are as many parts as were announced, and an end.

| task | questions | right, greedy | right, drawn | ended, greedy |
|---|---|---|---|---|
"""


def model_card(size: Size, trained: Trained, measured: Measured, command: str, parameters: int, vocabulary: int) -> str:
    """The whole card as Markdown with a YAML head."""
    text = HEAD.format(
        size=size,
        trained=trained,
        command=command,
        parameters=parameters,
        vocabulary=vocabulary,
        head=size.hidden // size.heads,
        asked=len(measured.greedy_answers),
    )
    rows = [(n, right, measured.drawn[task][1], ended) for task, (n, right, ended) in measured.greedy.items()]
    names = [*measured.greedy, "**all**"]
    total = sum(row[0] for row in rows)
    right, drawn, ended = (sum(row[0] * row[i] for row in rows) / total for i in (1, 2, 3))
    rows.append((total, right, drawn, ended))
    for name, (n, *shares) in zip(names, rows, strict=True):
        text += "| {} | {:,} | {:.1%} | {:.1%} | {:.2%} |\n".format(name, n, *shares)
    text += (
        "\n| tokens an answer, its end included | mean | median | 90 % | 99 % | longest |\n|---|---|---|---|---|---|\n"
    )
    for name, said in (("greedy", measured.greedy_answers), ("drawn", measured.drawn_answers)):
        tokens = np.array([one.tokens for one in said])
        middle, high, top = np.percentile(tokens, (50, 90, 99))
        text += f"| {name} | {tokens.mean():.1f} | {middle:.0f} | {high:.0f} | {top:.0f} | {tokens.max()} |\n"
    text += (
        "\n## Forecasts\n\n`forecasts/` holds a predictor of `soonest` fitted on other answers of this model, greedy "
        "and drawn\n(a prompt's temperature is one of its facts), and measured on these:\n\n"
        "| answers | Kendall's tau | pairwise accuracy | mean absolute error | coverage of the 90 % interval |\n"
        "|---|---|---|---|---|\n"
    )
    for name, row in (
        ("greedy", measured.forecasts_greedy),
        ("drawn", measured.forecasts_drawn),
        ("both", measured.forecasts),
    ):
        text += (
            f"| {name} | {row['kendall_tau']:.3f} | {row['pairwise_accuracy']:.3f} | {row['mae']:.1f} tokens "
            f"| {row['coverage']:.1%} |\n"
        )
    return text

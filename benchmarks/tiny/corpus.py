"""The tiny model's text: talks made of its tasks, its tokenizer, and batches of nearly equal lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from soonest.engines.tiny.tasks import Dice, example

if TYPE_CHECKING:
    from collections.abc import Iterator

PAD, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL: Final = (PAD, END, SYSTEM, USER, ASSISTANT)
TEMPLATE: Final = (
    "{%- for message in messages -%}"
    "{{- '<|' + ('system' if message.role == 'developer' else message.role) + '|>' -}}"
    "{%- if message.content is string -%}{{- message.content -}}"
    "{%- elif message.content -%}"
    "{%- for part in message.content if part.type == 'text' -%}{{- part.text -}}{%- endfor -%}{%- endif -%}"
    "{{- '<|end|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
PIECES: Final = r"[0-9]+|, | ?[A-Za-z]+|\n| ?[^\sA-Za-z0-9]+|\s"
"""A number has no space before it, so it is the same token wherever it stands."""
NUMBERS: Final = 151
"""From 0 on, each a token of its own: to end at the number asked for is then to see the same token again."""
SYSTEMS: Final = ("You are a helpful assistant.", "You are helpful.", "Be kind and brief.")
VOCABULARY: Final = 1024
IGNORED: Final = -100
POOL: Final = 2048
PART, REMINDED = 32, 12
"""Of a long answer, mostly its first and some later tokens are read, at their true positions; of the later ones, the
first few are not learned, as what they follow is missing. What decides is where an answer begins and ends."""


class Talk(NamedTuple):
    """Tokens of a talk with their positions, and which of them are learned: those of the last answer."""

    tokens: list[int]
    positions: list[int]
    learned: list[bool]


class Batch(NamedTuple):
    """Tokens, their positions, and the targets, shifted by one: each of shape (talks, longest)."""

    tokens: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor


def make_tokenizer(seed: int) -> Tokenizer:
    """Byte-level pairs merged as often as they occur in 8,000 questions and answers."""
    dice = Dice(seed)
    made = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=10,
    )
    drawn = [one for one in (example(dice) for _ in range(8000)) if one.task != "other"]
    texts = [text for one in drawn for text in (one.prompt, one.answer)]
    made.train_from_iterator(texts + [str(i) for i in range(NUMBERS) for _ in range(100)], trainer)
    return made


def talk(dice: Dice, tokenizer: Tokenizer) -> Talk:
    """A question and its answer; now and then after a system message, or an earlier turn."""
    text = f"{SYSTEM}{dice.one(SYSTEMS)}{END}" if dice.chance(0.1) else ""
    if dice.chance(0.1):
        before = example(dice)
        if len(before.answer) < 100:
            text += f"{USER}{before.prompt}{END}{ASSISTANT}{before.answer}{END}"
    one = example(dice)
    asked = tokenizer.encode(f"{text}{USER}{one.prompt}{END}{ASSISTANT}").ids
    answer = tokenizer.encode(f"{one.answer}{END}").ids
    kept = list(range(len(answer)))
    learned = [True] * len(answer)
    if len(answer) > 2 * PART and dice.chance(0.85):  # leave out the middle
        start = len(answer) - PART if dice.chance(0.6) else dice.count(PART, len(answer) - PART)
        kept = [*range(PART), *range(start, start + PART)]
        learned = [True] * PART + [False] * REMINDED + [True] * (PART - REMINDED)
    return Talk(
        asked + [answer[i] for i in kept],
        [*range(len(asked)), *(len(asked) + i for i in kept)],
        [False] * len(asked) + learned,
    )


def batches(seed: int, tokenizer: Tokenizer, size: int) -> Iterator[Batch]:
    """Without end, of at most `size` tokens each."""
    dice = Dice(seed)
    order = np.random.default_rng(seed)
    while True:
        pool = sorted((talk(dice, tokenizer) for _ in range(POOL)), key=lambda one: len(one.tokens))
        parts: list[list[Talk]] = [[]]
        for one in pool:
            if (len(parts[-1]) + 1) * len(one.tokens) > size and parts[-1]:
                parts.append([])
            parts[-1].append(one)
        for i in order.permutation(len(parts)):
            yield padded(parts[i])


def padded(talks: list[Talk]) -> Batch:
    """One batch: pads stand at the end, where nothing that is learned looks at them."""
    shape = len(talks), max(len(one.tokens) for one in talks)
    tokens, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    targets = torch.full(shape, IGNORED)
    for i, one in enumerate(talks):
        n = len(one.tokens)
        row = torch.tensor(one.tokens)
        tokens[i, :n] = row
        positions[i, :n] = torch.tensor(one.positions)
        targets[i, : n - 1] = row[1:].where(torch.tensor(one.learned[1:]), IGNORED)
    return Batch(tokens, positions, targets)

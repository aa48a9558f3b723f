"""What the trained model answers: many questions at a time, greedy or drawn, and how many of them are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from benchmarks.tiny.corpus import END, PAD
from benchmarks.tiny.train import question
from rich.console import Console
from rich.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

    from soonest.engines.tiny.tasks import Example

LONGEST: Final = 512
BATCH: Final = 128


class Answer(NamedTuple):
    """What was said, its tokens with the end, and whether it ended by itself."""

    text: str
    tokens: int
    ended: bool


@torch.inference_mode()
def answers(model: Any, tokenizer: Tokenizer, asked: Sequence[Example], *, drawn: bool, seed: int) -> list[Answer]:
    """An answer to each; `drawn` samples as the model's generation config says.

    Questions with long right answers are asked together, so that few wait for the longest.
    """
    torch.manual_seed(seed)
    model.eval()
    order = sorted(range(len(asked)), key=lambda i: (len(asked[i].answer), i))
    parts = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    found: dict[int, Answer] = {}
    console = Console(stderr=True)
    words = "answers, drawn" if drawn else "answers, greedy"
    for part in track(parts, words, console=console, disable=not console.is_terminal):
        found |= zip(part, _batch(model, tokenizer, [asked[i].prompt for i in part], drawn=drawn), strict=True)
    return [found[i] for i in range(len(asked))]


def _batch(model: Any, tokenizer: Tokenizer, prompts: Sequence[str], *, drawn: bool) -> list[Answer]:
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    rows = [tokenizer.encode(question(prompt)).ids for prompt in prompts]
    longest = max(map(len, rows))
    tokens = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    how = {"max_length": None} if drawn else {"max_length": None, "temperature": None, "top_p": None}
    made = model.generate(
        input_ids=tokens, attention_mask=mask, do_sample=drawn, max_new_tokens=LONGEST, **how
    )  # fmt: skip
    said = []
    for row in made[:, longest:].tolist():
        ended = end in row
        own = row[: row.index(end)] if ended else row
        said.append(Answer(tokenizer.decode(own), len(own) + ended, ended))
    return said


def scores(asked: Sequence[Example], said: Sequence[Answer]) -> dict[str, tuple[int, float, float]]:
    """For each task, how many were asked, the share that is right, and the share that ended."""
    rows: dict[str, list[tuple[bool, bool]]] = {}
    for one, answer in zip(asked, said, strict=True):
        rows.setdefault(one.task, []).append((answer.ended and one.right(answer.text), answer.ended))
    return {
        task: (len(row), sum(right for right, _ in row) / len(row), sum(ended for _, ended in row) / len(row))
        for task, row in sorted(rows.items())
    }

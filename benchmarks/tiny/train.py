"""Training: Muon for the matrices, AdamW for the rest, a rate that rises, stays and falls."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from benchmarks.tiny.begin import begin
from benchmarks.tiny.corpus import ASSISTANT, END, IGNORED, PAD, batches
from benchmarks.tiny.muon import Muon
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import LlamaConfig, LlamaForCausalLM

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WARM, FALL = 0.03, 0.5
"""Shares of the steps in which the rate rises, and falls."""
SAID_EVERY: Final = 100


@dataclass(frozen=True, slots=True)
class Size:
    """The model's shape and how long it is trained; defaults are those of the model that ships."""

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 384
    positions: int = 1024
    steps: int = 1600
    batch: int = 1024
    """Tokens a step, pads included."""
    matrix_rate: float = 0.005
    rate: float = 0.003


@dataclass(frozen=True, slots=True)
class Trained:
    """What training came to."""

    seconds: float
    tokens: int
    loss: float
    """Mean cross-entropy an answer token over the last hundred steps, in nats."""


def make_model(size: Size, tokenizer: Tokenizer, seed: int) -> Any:
    """A Llama of that shape, not yet trained."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=size.hidden,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        head_dim=size.hidden // size.heads,
        max_position_embeddings=size.positions,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    model = LlamaForCausalLM(config)
    begin(model)
    return model


def train(model: Any, tokenizer: Tokenizer, size: Size, seed: int) -> Trained:
    """Train in place; only answers are learned."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    makers: list[torch.optim.Optimizer] = [
        Muon(matrices, lr=size.matrix_rate),
        torch.optim.AdamW(others, lr=size.rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    falls = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: share(step, size.steps)) for one in makers]
    start, seen, losses = time.perf_counter(), 0, []
    console = Console(stderr=True)
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.fields[loss]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=size.steps, loss="")
        for step, (tokens, positions, targets) in zip(
            range(size.steps), batches(seed, tokenizer, size.batch), strict=False
        ):
            states = model.model(
                input_ids=tokens, position_ids=positions, attention_mask=torch.ones_like(tokens), use_cache=False
            ).last_hidden_state
            asked = targets != IGNORED
            loss = torch.nn.functional.cross_entropy(model.lm_head(states[asked]), targets[asked])
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for one, fall in zip(makers, falls, strict=True):
                one.step()
                fall.step()
                one.zero_grad()
            seen += tokens.numel()
            losses.append(loss.item())
            recent = sum(losses[-SAID_EVERY:]) / len(losses[-SAID_EVERY:])
            progress.update(task, completed=step + 1, loss=f"loss {recent:.4f}")
            if not console.is_terminal and step % SAID_EVERY == SAID_EVERY - 1:
                console.print(
                    f"step {step + 1}: loss {recent:.4f}, {seen / (time.perf_counter() - start):.0f} tokens/s"
                )
    return Trained(time.perf_counter() - start, seen, recent)


def share(step: int, steps: int) -> float:
    """Of the full rate, at a step."""
    return min(1.0, (step + 1) / (WARM * steps), max(0.01, (steps - step) / (FALL * steps)))


def question(prompt: str) -> str:
    """A prompt as the chat template writes it, up to where the answer starts."""
    return f"<|user|>{prompt}{END}{ASSISTANT}"

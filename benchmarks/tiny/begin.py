"""How the weights begin: with heads that look back one token, copy what followed before, and find their like.

A transformer of this size learns to copy from its prompt only after long training on little else (induction heads:
Olsson et al., 2022, arXiv:2209.11895). Here some heads begin near that, as in mimetic initialisation (Trockman, Kolter,
2023, arXiv:2305.09828), and training does the rest.
"""

from __future__ import annotations

from typing import Any, Final

import torch

SPREAD: Final = 0.06
"""Standard deviation of an embedding's entries."""
SHARED: Final = 0.24
"""The first entry of every embedding: the same for all, so heads can attend by distance alone."""
SHARP: Final = 24.0
"""How sharply the token before is told from the others."""
FAST: Final = 6
"""Pairs of a head's entries that turn too fast to compare tokens far apart."""
MATCH: Final = 1.2
WRITTEN: Final = 0.15


@torch.no_grad()
def begin(model: Any) -> None:
    """Set the first two layers' heads, and let half of the heads of the others find tokens like their own."""
    config = model.config
    size, width = config.head_dim, config.hidden_size
    embeddings = model.model.embed_tokens.weight
    embeddings.normal_(std=SPREAD)
    embeddings[:, 0] = SHARED
    first, second, *others = (layer.self_attn for layer in model.model.layers)
    content = _rows(size, width)
    content[:, 0] = 0
    slow = torch.arange(size) % (size // 2) >= FAST
    written = _rows(size, width).T
    _look_back(first, size, model.model.rotary_emb.inv_freq)
    first.v_proj.weight[:size] = content
    first.o_proj.weight[:, :size] = WRITTEN * written
    for head in range(config.num_attention_heads // 2):
        rows = slice(head * size, (head + 1) * size)
        copied = _rows(size, width)
        second.q_proj.weight[rows] = MATCH * content * slow[:, None]
        second.k_proj.weight[rows] = MATCH * written.T * slow[:, None] * 2
        second.v_proj.weight[rows] = copied
        second.o_proj.weight[:, rows] = WRITTEN * copied.T
        for other in others:
            like = _rows(size, width) * slow[:, None]
            like[:, 0] = 0
            other.q_proj.weight[rows] = MATCH * like
            other.k_proj.weight[rows] = MATCH * like


def _look_back(attention: Any, size: int, turns: torch.Tensor) -> None:
    """The first head scores a token by how near it is to the one before, whatever the tokens are."""
    half = size // 2
    shared = SHARED / (SPREAD**2 + SHARED**2 / attention.q_proj.in_features) ** 0.5
    height = (SHARP**0.5) / shared * 1.5
    asked, kept = torch.zeros(size), torch.zeros(size)
    asked[:FAST] = height
    kept[:FAST] = height * turns[:FAST].cos()
    kept[half : half + FAST] = height * turns[:FAST].sin()
    for projection, column in ((attention.q_proj, asked), (attention.k_proj, kept)):
        projection.weight[:size] = 0
        projection.weight[:size, 0] = column


def _rows(count: int, width: int) -> torch.Tensor:
    """Random rows at right angles, of length 1."""
    found: torch.Tensor = torch.linalg.qr(torch.randn(width, count))[0].T.contiguous()
    return found

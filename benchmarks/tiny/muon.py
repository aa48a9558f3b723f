"""Muon in float32: momentum made orthogonal (Jordan et al., 2024). PyTorch's own computes in bfloat16, slow on CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
STEPS: Final = 5


class Muon(torch.optim.Optimizer):
    """For matrices alone. Those of one shape are made orthogonal together."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step against the gradients."""
        del closure
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for one in group["params"]:
                shapes.setdefault(one.shape, []).append(one)
            for shape, alike in shapes.items():
                moves = torch.stack([self._moved(one, group["momentum"]) for one in alike])
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for one, move in zip(alike, orthogonal(moves), strict=True):
                    one.add_(move, alpha=-group["lr"] * scale)

    def _moved(self, one: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        """The gradient with momentum, as Nesterov takes it."""
        gradient = torch.zeros_like(one) if one.grad is None else one.grad
        kept = self.state[one].setdefault("momentum", torch.zeros_like(gradient))
        kept.lerp_(gradient, 1 - momentum)
        return gradient.lerp(kept, momentum)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Nearly orthogonal matrices with the same singular vectors, by Newton and Schulz's iteration."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    found: torch.Tensor = x.mT if tall else x
    return found

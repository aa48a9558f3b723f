"""The losses, by the names that tasks give them; each takes outputs of shape (n, width) and targets of shape (n,)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional

from soonest.predict.encoder.tasks.classes import Binary
from soonest.predict.encoder.tasks.scored import PINBALL_LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from soonest.predict.encoder.tasks.task import Task

    Loss = Callable[[Tensor, Tensor], Tensor]

MARGIN: Final = 1.0


def loss_of(task: Task) -> Loss:
    """The loss of a task that has learned its units."""
    if isinstance(task, Binary):
        weights = torch.tensor(task.weights, dtype=torch.float32)
        return lambda outputs, targets: functional.cross_entropy(outputs, targets.long(), weights.to(outputs.device))
    return LOSSES[task.loss]


def absolute(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error."""
    return (outputs[:, 0] - targets).abs().mean()


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error."""
    return (outputs[:, 0] - targets).square().mean()


def pinball(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean pinball loss over all levels, twice: at the median it is the absolute error."""
    levels = torch.tensor(PINBALL_LEVELS, dtype=outputs.dtype, device=outputs.device)
    short = targets[:, None] - outputs
    return 2 * torch.maximum(levels * short, (levels - 1) * short).mean()


def logistic(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log P(the longer answer has the higher score) over pairs of different length (RankNet)."""
    gaps = _gaps(outputs, targets)
    return functional.softplus(-gaps).mean() if len(gaps) else outputs.sum() * 0


def margin(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of what the longer answer's score lacks to exceed the shorter one's by 1."""
    gaps = _gaps(outputs, targets)
    return functional.relu(MARGIN - gaps).mean() if len(gaps) else outputs.sum() * 0


def listmle(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log P(the true order), drawn shortest first by Plackett and Luce's law (Xia et al., 2008)."""
    drawn = -outputs[torch.argsort(targets, stable=True), 0]
    rest = drawn.flip(0).logcumsumexp(0).flip(0)
    return (rest - drawn).mean()


def listnet(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of who is drawn first, the shortest most likely (Cao et al., 2007)."""
    return -(functional.softmax(-targets, 0) * functional.log_softmax(-outputs[:, 0], 0)).sum()


def _gaps(outputs: Tensor, targets: Tensor) -> Tensor:
    longer, shorter = torch.nonzero(targets[:, None] > targets[None, :], as_tuple=True)
    return outputs[longer, 0] - outputs[shorter, 0]


LOSSES: Final[dict[str, Loss]] = {
    "l1": absolute,
    "mse": squared,
    "pinball": pinball,
    "logistic": logistic,
    "margin": margin,
    "listmle": listmle,
    "listnet": listnet,
}

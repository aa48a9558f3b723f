"""The network: an encoder, what it says of the whole text, and a head of two layers."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onnx  # noqa: F401 - the exporter asks for it at the end of the training; better to miss it at once
import torch
from torch import Tensor, nn
from torch.nn import functional

from soonest.core import PredictorError

if TYPE_CHECKING:
    from collections.abc import Iterator

POOLINGS: Final = ("cls", "mean")
HIDDEN: Final = 128
DROPOUT: Final = 0.1
DEEP: Final = re.compile(r"\blayers?\.(\d+)\.")


class Network(nn.Module):
    """Tokens, mask and numbers beside the text in, `width` outputs out (Qiu et al., 2024: [CLS], 128, 128, head).

    Pooling is `cls`, the first token's vector, or `mean`, over all tokens. `rising` outputs are quantiles: the middle
    one is free, the others lie a positive step apart.
    """

    def __init__(self, encoder: nn.Module, width: int, beside: int, pooling: str, *, rising: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.rising = rising
        self.beside = beside
        size = int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        layers = [nn.Linear(size + beside, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT)]
        layers += [nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT)]
        self.head = nn.Sequential(*layers, nn.Linear(HIDDEN, width))

    def pooled(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One vector a text, of shape (n, size)."""
        states: Tensor = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        if self.pooling == "cls":
            return states[:, 0]
        weights = mask[:, :, None].to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1)

    def answers(self, pooled: Tensor, beside: Tensor | None) -> Tensor:
        """The outputs, of shape (n, width), from vectors and the numbers beside."""
        given = pooled if beside is None or not self.beside else torch.cat([pooled, beside], dim=1)
        outputs: Tensor = self.head(given)
        return rising(outputs) if self.rising else outputs

    def forward(self, tokens: Tensor, mask: Tensor, beside: Tensor | None = None) -> Tensor:
        """The outputs, of shape (n, width)."""
        return self.answers(self.pooled(tokens, mask), beside)

    def groups(self, lr: float, head_lr: float, decay: float) -> Iterator[dict[str, Any]]:
        """Parameters by learning rate: the head's own; the encoder's, `decay` times smaller with every layer down."""
        depth = 1 + max((_layer(name) for name, _ in self.encoder.named_parameters()), default=-1)
        by_layer: dict[int, list[nn.Parameter]] = {}
        for name, parameter in self.encoder.named_parameters():
            by_layer.setdefault(_layer(name), []).append(parameter)
        for layer, parameters in sorted(by_layer.items()):
            yield {"params": parameters, "lr": lr * decay ** (depth - 1 - layer)}
        yield {"params": list(self.head.parameters()), "lr": head_lr}


def rising(outputs: Tensor) -> Tensor:
    """Outputs of shape (n, k) as quantiles that never decrease."""
    middle = outputs.shape[1] // 2
    steps = functional.softplus(outputs)
    up = steps[:, middle + 1 :].cumsum(1)
    down = steps[:, :middle].flip(1).cumsum(1).flip(1)
    free = outputs[:, middle : middle + 1]
    return torch.cat([free - down, free, free + up], dim=1)


def exported(network: Network) -> bytes:
    """The network in ONNX form: inputs `tokens`, `mask` and, where there are numbers beside the text, `beside`.

    Raises:
        PredictorError: the encoder has an operation that ONNX lacks.
    """
    network = network.eval().cpu().float()
    inputs = [torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)]
    inputs += [torch.zeros(2, network.beside)] if network.beside else []
    names = ["tokens", "mask", "beside"][: len(inputs)]
    axes = {name: {0: "n"} if name == "beside" else {0: "n", 1: "length"} for name in names}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter says that it is older, and that shapes are traced
        path = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(
                network,
                tuple(inputs),
                str(path),
                input_names=names,
                output_names=["outputs"],
                dynamic_axes={**axes, "outputs": {0: "n"}},
                opset_version=17,
                dynamo=False,
            )
        except Exception as error:  # as many types as operations
            raise PredictorError(f"this encoder cannot be written as ONNX: {error}") from error
        return path.read_bytes()


def _layer(name: str) -> int:
    found = DEEP.search(name)
    return int(found.group(1)) if found else -1

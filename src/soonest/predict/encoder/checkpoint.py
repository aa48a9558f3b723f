"""Training on disk, so that it can go on where it was stopped."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from soonest.core import PredictorError

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

FILE: Final = "checkpoint.safetensors"
SECONDS: Final = 60.0  # between two checkpoints


@dataclass
class Progress:
    """How far training is: the phase, the epoch in it, the step in that, and what the held-out answers said."""

    phase: int = 0
    epoch: int = 0
    step: int = 0
    total: float = 0.0
    """Sum of this epoch's losses so far."""
    best: float | None = None
    waited: int = 0
    """Epochs since the best one."""
    history: list[dict[str, float]] = field(default_factory=list)


class Checkpoint:
    """One file in a folder: tensors of the network, its best state and the optimizer, and the progress as JSON.

    It is replaced whole, at most once a minute. `key` names data and arguments: another fit's checkpoint is refused.
    """

    def __init__(self, folder: str | Path, key: str) -> None:
        self.path = Path(folder) / FILE
        self.key = key
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() - self._saved >= SECONDS

    def save(self, network: nn.Module, best: dict[str, Tensor], optimizer: optim.Optimizer, progress: Progress) -> None:
        """Write everything beside the file, then put it in its place."""
        tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in best.items()}
        for i, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": value for name, value in moments.items()}
        part = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            state = {"key": self.key, "progress": json.dumps(asdict(progress))}
            save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part, state)
            part.replace(self.path)
        except OSError as error:
            raise PredictorError(f"{self.path}: the checkpoint cannot be written: {error}") from error
        self._saved = time.monotonic()

    def load(self) -> Saved | None:
        """What was saved, or nothing.

        Raises:
            PredictorError: the file is corrupted, or belongs to a fit with other data or arguments.
        """
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                state = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            saved = Saved.of(tensors, json.loads(state["progress"]))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise PredictorError(f"{self.path}: is no checkpoint of ours; remove it to start anew: {error}") from error
        if state.get("key") != self.key:
            raise PredictorError(f"{self.path}: belongs to a fit with other data or arguments; remove it to start anew")
        return saved

    def remove(self) -> None:
        """Training has ended."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Saved:
    """What a checkpoint holds."""

    network: dict[str, Tensor]
    best: dict[str, Tensor]
    moments: dict[int, dict[str, Tensor]]
    progress: Progress

    @classmethod
    def of(cls, tensors: dict[str, Tensor], progress: dict[str, Any]) -> Self:
        """From names such as `best.head.0.weight` and `optimizer.3.exp_avg`."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            place, _, kind = name.partition(".")
            moments.setdefault(int(place), {})[kind] = value
        return cls(parts["network"], parts["best"], moments, Progress(**progress))

    def into(self, network: nn.Module, optimizer: optim.Optimizer) -> None:
        """Give network and optimizer their state back."""
        network.load_state_dict(self.network)
        optimizer.load_state_dict({"state": self.moments, "param_groups": optimizer.state_dict()["param_groups"]})

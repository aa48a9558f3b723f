"""Training: the encoder with its head, then the head alone."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress as Bar

from soonest.core import PredictorError
from soonest.predict.encoder.checkpoint import Progress
from soonest.predict.encoder.reading import padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from soonest.predict.encoder.checkpoint import Checkpoint
    from soonest.predict.encoder.model import Network
    from soonest.predict.encoder.tasks.losses import Loss

    Places = NDArray[np.intp]

WARM: Final = 0.1  # share of a phase's steps in which the learning rate rises from zero
STEEPEST: Final = 1.0  # length a gradient is cut to
POOL: Final = 50  # batches among which texts are sorted by length
READING: Final = 64  # texts at once where nothing is learned
TUNED, FROZEN, DONE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: epochs with the encoder, epochs of the head alone, and the optimizer's numbers."""

    tuned: int
    frozen: int
    batch: int
    lr: float
    head_lr: float
    decay: float
    patience: int
    seed: int
    bf16: bool
    device: str


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts as rows of tokens, numbers beside, targets; and which are learned from, and which are held out."""

    rows: Sequence[Sequence[int]]
    beside: NDArray[np.float32]
    targets: NDArray[np.float64]
    pad: int
    learned: Places
    held: Places


class Training:
    """Fits a network to examples; the state with the least loss on those held out is kept.

    The encoder learns in the first phase. It ends after its epochs, or when `patience` epochs in a row were no better;
    then the best state's encoder is frozen, its vectors are computed once, and the head goes on. In each phase the
    learning rates rise and fall linearly. On a CPU the same seed gives the same weights, stopped in between or not.
    """

    def __init__(
        self, network: Network, loss: Loss, examples: Examples, plan: Plan, checkpoint: Checkpoint | None = None
    ) -> None:
        self.plan = plan
        self.examples = examples
        self.loss = loss
        self.checkpoint = checkpoint
        self.device = torch.device(device_of(plan.device))
        self.network = network.to(self.device)
        self.progress = Progress()
        self.best = self._copy()
        self._targets = torch.tensor(examples.targets, dtype=torch.float32, device=self.device)
        self._beside = torch.tensor(examples.beside, device=self.device)
        self._vectors: Tensor | None = None
        self._bar = Bar(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)

    def run(self) -> list[dict[str, float]]:
        """Train to the end, and tell the losses of each epoch."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), self._bar:
            self._line = self._bar.add_task("training", total=self._steps * (self.plan.tuned + self.plan.frozen))
            saved = self.checkpoint.load() if self.checkpoint else None
            if saved is not None:
                self.network.load_state_dict(saved.network)
                self.best, self.progress = saved.best, saved.progress
            self._enter()
            if saved is not None:
                saved.into(self.network, self._optimizer)
            while self.progress.phase < DONE:
                self._advance()
        self.network.load_state_dict(self.best)
        if self.checkpoint:
            self.checkpoint.remove()
        return self.progress.history

    def _advance(self) -> None:
        """One epoch, or the step into the next phase."""
        at = self.progress
        epochs = (self.plan.tuned, self.plan.frozen)[at.phase]
        if at.epoch < epochs and at.waited < self.plan.patience:
            self._epoch()
        else:
            self.network.load_state_dict(self.best)
            at.phase, at.epoch, at.step, at.waited = at.phase + 1, 0, 0, 0
            self._enter()

    def _enter(self) -> None:
        """Make ready for the phase: who learns, with what optimizer."""
        groups = list(self.network.groups(self.plan.lr, self.plan.head_lr, self.plan.decay))
        frozen = self.progress.phase != TUNED
        self.network.zero_grad()  # what the encoder's last step left would count in the head's
        self.network.encoder.requires_grad_(not frozen)
        self._optimizer = torch.optim.AdamW(groups[-1:] if frozen else groups)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._vectors = None
        if self.progress.phase == FROZEN and self.plan.frozen:
            self._vectors = self._read(np.arange(len(self.examples.rows)))

    def _epoch(self) -> None:
        at = self.progress
        batches = self._batches()
        while at.step < len(batches):
            torch.manual_seed(seed_of(self.plan.seed, at.phase, at.epoch, at.step))
            at.total += self._step(batches[at.step], at.epoch * len(batches) + at.step)
            at.step += 1
            self._bar.update(self._line, completed=self._completed)
            if self.checkpoint and self.checkpoint.due:
                self.checkpoint.save(self.network, self.best, self._optimizer, at)
        held = checked(self._held_loss())
        at.history.append({"phase": at.phase, "epoch": at.epoch, "loss": at.total / len(batches), "held": held})
        at.waited += 1
        if at.best is None or held < at.best:
            at.best, at.waited, self.best = held, 0, self._copy()
        at.epoch, at.step, at.total = at.epoch + 1, 0, 0.0

    def _step(self, batch: Places, number: int) -> float:
        self.network.train(self._vectors is None)
        self.network.head.train()
        steps = self._steps * (self.plan.tuned, self.plan.frozen)[self.progress.phase]
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * slope(number, steps)
        loss = self.loss(self._outputs(batch), self._targets[batch])
        value = checked(float(loss.detach()))
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), STEEPEST)
        self._optimizer.step()
        return value

    def _outputs(self, places: Places) -> Tensor:
        """What the network says of these, of shape (n, width); the head always computes in full precision."""
        vectors = self._pooled(places) if self._vectors is None else self._vectors[places]
        return self.network.answers(vectors, self._beside[places])

    def _pooled(self, places: Places) -> Tensor:
        tokens, mask = padded([self.examples.rows[i] for i in places], self.examples.pad)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.bf16):
            given = torch.from_numpy(tokens).to(self.device), torch.from_numpy(mask).to(self.device)
            return self.network.pooled(*given).float()

    @torch.no_grad()
    def _read(self, places: Places) -> Tensor:
        """Vectors of these texts, of shape (n, size), as the frozen encoder gives them."""
        self.network.eval()
        lengths = [len(self.examples.rows[i]) for i in places]
        order = np.argsort(lengths, kind="stable")
        found = [self._pooled(places[order[i : i + READING]]) for i in range(0, len(order), READING)]
        vectors = torch.cat(found)
        return vectors[torch.from_numpy(np.argsort(order, kind="stable")).to(self.device)]

    @torch.no_grad()
    def _held_loss(self) -> float:
        """Mean loss on what is held out, in batches as large as those learned from."""
        held = self.examples.held
        vectors = self._read(held) if self._vectors is None else self._vectors[held]
        self.network.eval()
        outputs = self.network.answers(vectors, self._beside[held])
        order = np.random.default_rng(self.plan.seed).permutation(len(held))
        parts = [order[i : i + self.plan.batch] for i in range(0, len(order), self.plan.batch)]
        return float(
            np.average(
                [float(self.loss(outputs[p], self._targets[held[p]])) for p in parts], weights=list(map(len, parts))
            )
        )

    def _batches(self) -> list[Places]:
        """This epoch's batches; where texts are read, those of similar length go together."""
        at, size = self.progress, self.plan.batch
        draw = np.random.default_rng([self.plan.seed, at.phase, at.epoch])
        order = draw.permutation(self.examples.learned)
        if self._vectors is None:
            lengths = np.array([len(self.examples.rows[i]) for i in order])
            pool = np.arange(len(order)) // (size * POOL)
            order = order[np.lexsort((lengths, pool))]
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        return [batches[i] for i in draw.permutation(len(batches))]

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    @property
    def _steps(self) -> int:
        return -(-len(self.examples.learned) // self.plan.batch)

    @property
    def _completed(self) -> int:
        at = self.progress
        return self._steps * (at.epoch + self.plan.tuned * at.phase) + at.step


def slope(step: int, steps: int) -> float:
    """Factor of the learning rate: up to 1 over the first tenth of the steps, then down towards 0."""
    warm = max(1, round(WARM * steps))
    return min((step + 1) / warm, (steps - step) / max(steps - warm + 1, 1))


def checked(loss: float) -> float:
    """A loss, which must be a number."""
    if not np.isfinite(loss):
        raise PredictorError("training has diverged: its loss is no number; lower lr or head_lr")
    return loss


def seed_of(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def device_of(name: str) -> str:
    """`auto` is CUDA where there is a GPU, else the CPU.

    Raises:
        PredictorError: CUDA is asked for where there is none.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise PredictorError("device 'cuda' is not there: use device='cpu', or install PyTorch for your GPU")
    return ("cuda" if there else "cpu") if name == "auto" else name

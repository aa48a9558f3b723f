"""Many runs of the authors' simulator, shared by processes, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.studies.reproduction import spread
from soonest.studies.ssjf.jobs import answers_in, draw, files, times_in
from soonest.studies.ssjf.published import Order, serve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.studies.reproduction import Progress, Settings
    from soonest.studies.ssjf.jobs import Point
    from soonest.studies.ssjf.published import Faults, Jobs, Mode

    Floats = NDArray[np.float64]

MEASURES: Final = ("jct", "p99", "quarter", "sustained", "dropped")
"""Mean and p99 JCT in seconds, both throughputs in requests a second, and jobs that never ended."""
FCFS, SJF, FIVE, THREE = "FCFS", "SJF", "SSJF, five classes", "SSJF, three classes"
ARMS: Final = {
    FCFS: (Order.ARRIVAL, "five classes"),
    SJF: (Order.TRUTH, "five classes"),
    FIVE: (Order.FORECAST, "five classes"),
    THREE: (Order.FORECAST, "three classes"),
}
"""An order, and the predictor task whose forecasts it reads, if it reads any."""
TOGETHER: Final = 1000
"""Jobs that a process serves at a time, in as many runs as that makes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Runs of some arms at some points, so many at each."""

    points: tuple[Point, ...]
    mode: Mode
    faults: Faults
    repetitions: int
    arms: tuple[str, ...] = tuple(ARMS)


@dataclass(frozen=True, slots=True)
class _Task:
    point: Point
    mode: Mode
    faults: Faults
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    lengths: Path
    azure: Path


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """What came of a setting: `values` has shape (points, repetitions, arms, measures)."""

    setting: Setting
    values: Floats

    def of(self, arm: str, measure: str) -> Floats:
        """One measure of one arm, of shape (points, repetitions)."""
        return np.asarray(self.values[:, :, self.setting.arms.index(arm), MEASURES.index(measure)], dtype=np.float64)


def run(plans: Sequence[Setting], settings: Settings, progress: Progress, what: str) -> list[Runs]:
    """Every setting's runs. A point's jobs are the same in every mode and with any faults, so settings are paired."""
    lengths, azure = files(settings)
    tasks, counts = [], []
    for plan in plans:
        for point in plan.points:
            seeds, runs = settings.seeds(f"ssjf {point}", plan.repetitions), max(1, TOGETHER // point.jobs)
            tasks += [
                _Task(point, plan.mode, plan.faults, plan.arms, tuple(seeds[i : i + runs]), lengths, azure)
                for i in range(0, len(seeds), runs)
            ]
        counts.append(len(tasks))
    found = spread(_work, tasks, settings, progress, what)
    parts = [found[first:last] for first, last in zip([0, *counts], counts, strict=False)]
    return [Runs(plan, _shaped(plan, part)) for plan, part in zip(plans, parts, strict=True)]


def _shaped(plan: Setting, part: list[Floats]) -> Floats:
    whole = np.concatenate(part)
    return whole.reshape(len(plan.points), plan.repetitions, len(plan.arms), len(MEASURES))


def _work(task: _Task) -> Floats:
    """A few runs: shape (runs, arms, measures)."""
    answers, azure = answers_in(task.lengths), times_in(task.azure)
    found = np.empty((len(task.seeds), len(task.arms), len(MEASURES)))
    for i, seed in enumerate(task.seeds):
        drawn = draw(task.point, answers, azure, task.faults, seed)
        for k, arm in enumerate(task.arms):
            order, forecaster = ARMS[arm]
            found[i, k] = measures(drawn[forecaster], serve(drawn[forecaster], order, task.mode, task.faults))
    return found


def measures(jobs: Jobs, ended: Sequence[float | None]) -> tuple[float, ...]:
    """`MEASURES` of one run, over the jobs that ended, as the authors compute them.

    Their throughput at 25 % is floor((n - 1) / 4) jobs over the time at which the next one ends, counted from 0.
    """
    pairs = [(arrival, end) for arrival, end in zip(jobs.arrival, ended, strict=True) if end is not None]
    ends = sorted(end for _, end in pairs)
    latencies = sorted(end - arrival for arrival, end in pairs)
    quarter = (len(ends) - 1) // 4
    rank = 0.99 * (len(latencies) - 1)
    low = int(rank)
    above = latencies[min(low + 1, len(latencies) - 1)] - latencies[low]
    return (
        sum(latencies) / len(latencies) / jobs.second,
        (latencies[low] + (rank - low) * above) / jobs.second,
        quarter / (ends[quarter] / jobs.second),
        len(ends) / (ends[-1] / jobs.second),
        float(len(ended) - len(ends)),
    )

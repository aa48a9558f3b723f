"""The runs of the map: every policy with every forecast at one place, beside `fcfs` on the same requests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.report import interval
from soonest.sim import saturation, simulate
from soonest.studies.map.conditions import TAUS, Condition, conditions, forecasts, workload
from soonest.studies.reproduction import spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.report import Interval
    from soonest.sim import Result, Workload
    from soonest.studies.reproduction import Progress, Settings

POLICIES: Final = ("shortest", "response_ratio(shortest)", "a_max")
REPETITIONS: Final = 6


@dataclass(frozen=True, slots=True)
class Task:
    """One repetition at one place."""

    condition: Condition
    seed: int


@dataclass(frozen=True, slots=True)
class Found:
    """What one policy with one forecast changes against `fcfs` on the same requests.

    Attributes:
        gain: of the mean JCT, per cent.
        p99, longest: ratio of the 99th percentile and of the maximum of the JCT to those of `fcfs`.
        queued: share of the mean JCT of `fcfs` that is waiting.
        evictions: a request.
    """

    gain: float
    p99: float
    longest: float
    queued: float
    evictions: float


@dataclass(frozen=True, slots=True)
class Cell:
    """The repetitions of one policy and forecast at one place."""

    found: tuple[Found, ...]

    @property
    def gain(self) -> Interval:
        """Of the mean JCT, per cent, with its confidence interval."""
        return interval([one.gain for one in self.found])

    def mean(self, name: str) -> float:
        """Of another measure, over repetitions."""
        return float(np.mean([getattr(one, name) for one in self.found]))


Cells = dict[tuple[Condition, str, float], Cell]


def run(settings: Settings, progress: Progress) -> Cells:
    """The whole map."""
    seeds = settings.seeds("map", settings.repetitions(REPETITIONS))
    tasks = [Task(place, seed) for place in conditions() for seed in seeds]
    rows: dict[tuple[Condition, str, float], list[Found]] = defaultdict(list)
    for task, found in zip(tasks, spread(compare, tasks, settings, progress, "the map"), strict=True):
        for (policy, tau), one in found.items():
            rows[task.condition, policy, tau].append(one)
    return {key: Cell(tuple(found)) for key, found in rows.items()}


def compare(task: Task) -> dict[tuple[str, float], Found]:
    """All policies and forecasts on the same requests at the same times."""
    condition = task.condition
    jobs, scores = arriving(condition, task.seed)
    first = simulate(jobs, "fcfs", condition.options, backend="kernel")
    found = {}
    for number, tau in enumerate(TAUS):
        told = jobs.believing(forecasts(condition, tau, scores, task.seed + 2 + number))
        for policy in POLICIES:
            found[policy, tau] = beside(first, simulate(told, policy, condition.options, backend="kernel"))
    return found


def arriving(condition: Condition, seed: int) -> tuple[Workload, NDArray[np.float64]]:
    """Requests that come at the condition's share of what the engine sustains, and the scores of their lengths."""
    jobs, _ = workload(condition, 1.0, seed)
    return workload(condition, condition.load * saturation(jobs, condition.options, backend="kernel"), seed)


def beside(first: Result, result: Result) -> Found:
    """What a run changes against that of `fcfs`."""
    base, jct = _jct(first), _jct(result)
    waited = first.admitted - first.workload.arrival_ps
    return Found(
        gain=float(100 * (1 - jct.mean() / base.mean())),
        p99=float(np.percentile(jct, 99) / np.percentile(base, 99)),
        longest=float(jct.max() / base.max()),
        queued=float(waited.sum() / base.sum()),
        evictions=float(result.evictions.mean()),
    )


def _jct(result: Result) -> NDArray[np.int64]:
    return np.asarray(result.finished - result.workload.arrival_ps)

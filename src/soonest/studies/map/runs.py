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
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.report import Interval
    from soonest.sim import Result
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

    policy: str
    tau: float
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
    places = list(conditions())
    tasks = [Task(place, seed) for place in places for seed in seeds]
    rows: dict[tuple[Condition, str, float], list[Found]] = defaultdict(list)
    for task, found in zip(tasks, spread(compare, tasks, settings, progress, "the map"), strict=True):
        for one in found:
            rows[task.condition, one.policy, one.tau].append(one)
    return {key: Cell(tuple(found)) for key, found in rows.items()}


def compare(task: Task) -> Sequence[Found]:
    """All policies and forecasts on the same requests at the same times."""
    condition, options = task.condition, task.condition.options
    jobs, scores = workload(condition, 1.0, task.seed)
    rate = condition.load * saturation(jobs, options, backend="kernel")
    jobs, scores = workload(condition, rate, task.seed)
    first = simulate(jobs, "fcfs", options, backend="kernel")
    base, waited = _jct(first), first.admitted - first.workload.arrival_ps
    queued = float(waited.sum() / base.sum())
    found = []
    for number, tau in enumerate(TAUS):
        told = jobs.believing(forecasts(condition, tau, scores, task.seed + 2 + number))
        for policy in POLICIES:
            result = simulate(told, policy, options, backend="kernel")
            jct = _jct(result)
            p99, longest = np.percentile(jct, 99) / np.percentile(base, 99), jct.max() / base.max()
            gain, lost = 100 * (1 - jct.mean() / base.mean()), result.evictions.mean()
            found.append(Found(policy, tau, float(gain), float(p99), float(longest), queued, float(lost)))
    return found


def _jct(result: Result) -> NDArray[np.int64]:
    return np.asarray(result.finished - result.workload.arrival_ps)

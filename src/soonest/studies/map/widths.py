"""Where memory binds: the same forecasts with intervals that are narrower and wider than they should be."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.sim import simulate
from soonest.studies.map.conditions import Condition, forecasts
from soonest.studies.map.runs import REPETITIONS, Cell, Found, Task, arriving, beside
from soonest.studies.reproduction import spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.sim import Workload
    from soonest.studies.reproduction import Progress, Settings

STRETCHES: Final = (0.25, 0.5, 1.0, 2.0)
"""Times the width, in logarithms, that covers nine answers in ten."""
HOLDERS: Final = ("a_max", "a_min", "least_area")
"""Policies that hold memory for an end of the interval."""
TAU: Final = 0.6
PLACES: Final = tuple(Condition(load, burstiness=0.25, memory=0.4) for load in (0.9, 1.2))


@dataclass(frozen=True, slots=True)
class Width:
    """The repetitions at one place with one width.

    Attributes:
        covered: share of the answers within their intervals.
        cells: by policy.
    """

    covered: float
    cells: dict[str, Cell]


Widths = dict[tuple[Condition, float], Width]


def run_widths(settings: Settings, progress: Progress) -> Widths:
    """Every width at every place."""
    seeds = settings.seeds("widths", settings.repetitions(REPETITIONS))
    tasks = [Task(place, seed) for place in PLACES for seed in seeds]
    rows: dict[tuple[Condition, float], dict[str, list[Found]]] = defaultdict(lambda: defaultdict(list))
    covered: dict[tuple[Condition, float], list[float]] = defaultdict(list)
    for task, found in zip(tasks, spread(compare_widths, tasks, settings, progress, "widths"), strict=True):
        for stretch, (share, arms) in found.items():
            covered[task.condition, stretch].append(share)
            for policy, one in arms.items():
                rows[task.condition, stretch][policy].append(one)
    return {
        key: Width(float(np.mean(covered[key])), {policy: Cell(tuple(found)) for policy, found in arms.items()})
        for key, arms in rows.items()
    }


def compare_widths(task: Task) -> dict[float, tuple[float, dict[str, Found]]]:
    """By width, what is covered and what each policy changes, all on the same requests and signals."""
    condition = task.condition
    jobs, scores = arriving(condition, task.seed)
    first = simulate(jobs, "fcfs", condition.options, backend="kernel")
    found = {}
    for stretch in STRETCHES:
        told = jobs.believing(forecasts(condition, TAU, scores, task.seed + 2, stretch))
        arms = {p: beside(first, simulate(told, p, condition.options, backend="kernel")) for p in HOLDERS}
        found[stretch] = _covered(told), arms
    return found


def _covered(jobs: Workload) -> float:
    low, high = (_of_each(jobs, end) for end in ("low", "high"))
    return float(np.mean((low <= jobs.output_tokens) & (jobs.output_tokens <= high)))


def _of_each(jobs: Workload, end: str) -> NDArray[np.float64]:
    return np.array([getattr(forecast, end) for forecast in jobs.beliefs.table])[jobs.beliefs.index]

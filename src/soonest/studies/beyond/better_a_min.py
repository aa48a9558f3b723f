"""`least_area` beside every order of A_min, as ratios to hindsight, under restart and under recompute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import Rules
from soonest.report.study import Grid, Section
from soonest.sim import Options, simulate
from soonest.sim.forecasts import beliefs, interval
from soonest.studies.beyond.lengths import chats, spread_of, waiting
from soonest.studies.reproduction import spread

if TYPE_CHECKING:
    from soonest.sim import Workload
    from soonest.studies.reproduction import Progress, Settings

POLICIES = (
    "a_min(stored, smallest)",
    "a_min(live, smallest)",
    "a_min(stored, largest)",
    "a_min(live, largest)",
    "a_max",
    "least_area",
)
MEMORY, REQUESTS = 16_492, 2_000
ROWS = {
    "[1, 1000] for all": "interval(1,1000)",
    "ten bins": "bins(10,1000)",
    "o(1 ± 0.1)": "around(0.1)",
    "o(1 ± 0.5)": "around(0.5)",
    "o(1 ± 0.9)": "around(0.9)",
}
ALPHAS, SHARES, LOW = (0.2, 0.1, 0.05), (0.5, 0.65, 0.8, 0.95), 2
MEASURES = ("mean", "p99", "longest")


@dataclass(frozen=True)
class Task:
    """One workload: a row of the table, or an alpha and a share of short answers."""

    seed: int
    restart: bool
    prompts: bool = True
    source: str = ""
    alpha: float = 0.0
    share: float = 0.0


def ratios(task: Task) -> dict[str, tuple[float, float, float]]:
    """Mean, p99 and longest latency over hindsight's, by policy."""
    if task.source:
        work, memory = chats(task.seed, REQUESTS, prompts=task.prompts), MEMORY
        told = work.believing(beliefs(task.source, work.output_tokens))
    else:
        high, generator = round(LOW / task.alpha), np.random.default_rng(task.seed)
        outputs = np.where(generator.random(3 * REQUESTS) < task.share, LOW, high).astype(np.int64)
        work, memory = waiting(outputs, np.zeros(len(outputs), dtype=np.int64)), 2 * high**2
        told = work.believing(interval(outputs, LOW, high))
    rules = Rules.paper(memory)
    base = _latency(work, "a_min", rules)
    found = {p: _latency(told, p, replace(rules, restart=task.restart)) / base for p in POLICIES}
    return {p: (float(r[0]), float(r[1]), float(r[2])) for p, r in found.items()}


def _latency(work: Workload, policy: str, rules: Rules) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    ended = simulate(work, policy, Options(rules), backend="kernel").finished.astype(np.float64)
    return np.array([ended.mean(), np.quantile(ended, 0.99), ended.max()])


def better_a_min(settings: Settings, progress: Progress) -> Section:
    """The table of the published policies' eviction orders, with one more column."""
    seeds = settings.seeds("better_a_min", settings.repetitions(6))
    kinds = [(restart, prompts) for restart in (True, False) for prompts in (True, False)]
    rows = [Task(s, r, p, source) for r, p in kinds for source in ROWS.values() for s in seeds]
    few = seeds[: settings.repetitions(2)]
    points = [Task(s, r, alpha=a, share=q) for r in (True, False) for a in ALPHAS for q in SHARES for s in few]
    found = spread(ratios, [*rows, *points], settings, progress, "A_min's orders and least_area")
    by_task = dict(zip([*rows, *points], found, strict=True))
    grids = []
    for restart, prompts in kinds:
        name = f"{'restart' if restart else 'recompute'}, {'prompts' if prompts else 'no prompts'}"
        for k, measure in enumerate(MEASURES if restart and prompts else MEASURES[:1]):
            lines = [
                (row, *(spread_of([by_task[Task(s, restart, prompts, src)][p][k] for s in seeds]) for p in POLICIES))
                for row, src in ROWS.items()
            ]
            if prompts and not k:
                lines = [*_two_points(by_task, restart=restart, seeds=few), *lines]
            said = f"{measure.capitalize()} latency over hindsight's, {name}"
            grids.append(Grid(said, ("forecasts", *POLICIES), tuple(lines)))
    return Section("A better A_min", TEXT, tuple(grids))


def _two_points(
    by_task: dict[Task, dict[str, tuple[float, float, float]]], *, restart: bool, seeds: list[int]
) -> list[tuple[str, ...]]:
    """The worst mixture of each policy: the mean over seeds, then the largest over shares."""
    lines = []
    for a in ALPHAS:
        cells = []
        for p in POLICIES:
            mixtures = [[by_task[Task(s, restart, alpha=a, share=q)][p][0] for s in seeds] for q in SHARES]
            cells.append(spread_of(max(mixtures, key=np.mean)))
        lines.append((f"two points, alpha {a}, worst mixture", *cells))
    return lines


TEXT = (
    (
        "2,000 requests wait at 0, memory holds 16,492 tokens, answers are log-normal (mean 85.3, median 45, at "
        "most 1,000), prompts too (mean 40.6, median 11) or absent. Hindsight (H-SF) knows each length, ranks by "
        "it, never evicts and restarts nothing. Ratios below 1 are legal: it ranks by length alone and starts in "
        "lock-step."
    ),
    (
        "Two points: lengths 2 and 2/alpha, 6,000 requests, memory 2 u^2, no prompts; the worst of four mixtures."
        " Of equal keys the later first insertion goes first, which is hard on the published orders here: with "
        "random ties they give 1.41, 1.36 and 1.26."
    ),
    "Intervals are mean ± half-width of the 95 % interval over seeds that all columns share.",
)

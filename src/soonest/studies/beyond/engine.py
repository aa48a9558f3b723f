"""The same in realistic conditions: linear step times, prompts, arrivals over time, blocks, recompute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import Rules
from soonest.report.study import Grid, Section
from soonest.sim import PRESETS, Options, saturation, simulate
from soonest.sim.forecasts import beliefs
from soonest.studies.beyond.lengths import chats, spread_of
from soonest.studies.reproduction import spread

if TYPE_CHECKING:
    from soonest.report.study import Cell
    from soonest.studies.reproduction import Progress, Settings

POLICIES = ("shortest", "a_min", "a_max", "least_area", "least_area, paced")
SOURCES = {"exact": "oracle", "o(1 ± 0.5)": "around(0.5)", "o(1 ± 0.9)": "around(0.9)", "[1, 1000]": "interval(1,1000)"}
LOADS = (0.9, 1.2)
JOBS, BLOCKS = 3_000, 1_030
MEASURES = ("mean", "p99", "longest")


@dataclass(frozen=True)
class Task:
    """One workload at a load, and what is forecast of it."""

    seed: int
    load: float
    source: str


def over_fcfs(task: Task) -> dict[str, tuple[float, ...]]:
    """Mean, p99 and longest latency over that of `fcfs`, by policy."""
    work = chats(task.seed, JOBS)
    options = Options(Rules.vllm(256, 2048, BLOCKS, 16), PRESETS["h100-8b"])
    rate = task.load * saturation(work, options, backend="kernel")
    work = work.at(np.cumsum(np.random.default_rng(task.seed).exponential(1 / rate, JOBS)))
    told = work.believing(beliefs(task.source, work.output_tokens))
    paced = replace(options, rules=replace(options.rules, pace=True))

    def latency(policy: str, options: Options) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        taken = simulate(told, policy, options, backend="kernel").finished - work.arrival_ps
        return np.array([taken.mean(), np.quantile(taken, 0.99), taken.max()])

    base = latency("fcfs", options)
    found = {}
    for p in POLICIES:
        name, _, pacing = p.partition(", ")
        found[p] = tuple(float(r) for r in latency(name, paced if pacing else options) / base)
    return found


def on_an_engine(settings: Settings, progress: Progress) -> Section:
    """Latency over that of `fcfs` on an engine that recomputes."""
    seeds = settings.seeds("beyond on an engine", settings.repetitions(3))
    tasks = [Task(s, load, source) for load in LOADS for source in SOURCES.values() for s in seeds]
    found = dict(zip(tasks, spread(over_fcfs, tasks, settings, progress, "on an engine"), strict=True))
    grids = []
    for k, measure in enumerate(MEASURES):
        rows: list[tuple[Cell, ...]] = []
        for load in LOADS:
            for name, source in SOURCES.items():
                cells = [spread_of([found[Task(s, load, source)][p][k] for s in seeds]) for p in POLICIES]
                rows.append((load, name, *cells))
        said = f"{measure.capitalize()} latency over that of fcfs"
        grids.append(Grid(said, ("load", "forecasts", *POLICIES), tuple(rows)))
    return Section("In realistic conditions", TEXT, tuple(grids))


TEXT = (
    (
        "3,000 LMSYS-like requests arrive as a Poisson process; the engine batches as vLLM does (256 sequences, "
        "2,048 tokens an iteration, recompute), with 16,480 tokens of KV cache and the step times of `h100-8b`. "
        "Load is a share of what `fcfs` sustains."
    ),
)

"""The same in realistic conditions: linear step times, prompts, arrivals over time, blocks, recompute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.core import Rules
from soonest.data import poisson
from soonest.report import interval
from soonest.report.study import Grid, Section
from soonest.sim import PRESETS, Options, saturation, simulate
from soonest.sim.forecasts import beliefs
from soonest.sim.workload import PICOSECONDS
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import Order, by_order, compared, plus_minus
from soonest.studies.robust.lengths import LONGEST, chats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from soonest.report import Interval
    from soonest.report.study import Cell
    from soonest.studies.reproduction import Progress, Settings

PLAIN: Final = "least_area"
PACED: Final = "least_area, paced"
POLICIES: Final = ("shortest", "a_min", "a_max", PLAIN, PACED)
SOURCES: Final = {
    "oracle": "exact",
    "around(0.5)": "o(1 ± 0.5)",
    "around(0.9)": "o(1 ± 0.9)",
    f"interval(1,{LONGEST})": f"[1, {LONGEST}] for all",
}
WORDS: Final = {
    Order.BELOW: "is lower with",
    Order.ABOVE: "is higher with",
    Order.EITHER: "is not told apart with",
}
LOADS: Final = (0.9, 1.2)
SEEDS: Final = 20
JOBS: Final = 3000
BLOCKS: Final = 1030
MEASURES: Final = ("mean", "p99", "longest")
BASE: Final = "fcfs"


class Place(NamedTuple):
    """A load, and what is forecast."""

    load: float
    source: str


class Task(NamedTuple):
    """One workload at a place."""

    place: Place
    seed: int


Latency = dict[str, tuple[float, float, float]]
"""Mean, p99 and longest latency in seconds, by policy."""
Found = dict[Place, list[Latency]]
"""Seed by seed."""


def simulated(task: Task) -> Latency:
    """Every policy on the same requests."""
    work = chats(task.seed, JOBS)
    options = Options(Rules.vllm(256, 2048, BLOCKS, 16), PRESETS["h100-8b"], seed=task.seed)
    rate = task.place.load * saturation(work, options, backend="kernel")
    work = work.at(poisson(JOBS, rate, task.seed))
    told = work.believing(beliefs(task.place.source, work.output_tokens))
    paced = replace(options, rules=replace(options.rules, pace=True))
    found = {}
    for name in (BASE, *POLICIES):
        words, _, pacing = name.partition(", ")
        ended = simulate(told, words, paced if pacing else options, backend="kernel").finished
        found[name] = _of((ended - work.arrival_ps) / PICOSECONDS)
    return found


def _of(latencies: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(latencies.mean()), float(np.percentile(latencies, 99)), float(latencies.max())


def measure(settings: Settings, progress: Progress) -> Found:
    """Every load and forecast."""
    seeds = settings.seeds("beyond on an engine", settings.repetitions(SEEDS))
    tasks = [Task(Place(load, source), seed) for load in LOADS for source in SOURCES for seed in seeds]
    found: Found = {}
    for task, latency in zip(tasks, spread(simulated, tasks, settings, progress, "on an engine"), strict=True):
        found.setdefault(task.place, []).append(latency)
    return found


def ratio(runs: list[Latency], policy: str, base: str, measure: str) -> Interval:
    """A measure over another policy's, seed by seed."""
    k = MEASURES.index(measure)
    return interval([run[policy][k] / run[base][k] for run in runs])


def pays(runs: list[Latency], measure: str) -> Order:
    """A measure with pacing beside that without: by the ratios of the seeds, against 1."""
    k = MEASURES.index(measure)
    return compared([run[PACED][k] / run[PLAIN][k] for run in runs], [1.0] * len(runs))


def stands(found: Mapping[Place, list[Latency]]) -> list[str]:
    """What pacing does to mean, p99 and the longest latency, for each load."""
    said = []
    for load in LOADS:
        places = {name: found[Place(load, source)] for source, name in SOURCES.items()}
        parts = []
        for measure in MEASURES:
            orders = {name: pays(runs, measure) for name, runs in places.items()}
            parts.append(f"{measure.capitalize()} latency {by_order(orders, WORDS)}.")
        said.append(f"On an engine at load {load:g}, `{PACED}` against `{PLAIN}`. {' '.join(parts)}")
    return said


def section(found: Found) -> Section:
    """Latency over that of `fcfs`, and with pacing over without, on an engine that recomputes."""
    seeds = len(next(iter(found.values())))
    grids = []
    for measure in MEASURES:
        rows: list[tuple[Cell, ...]] = [
            (
                f"{place.load:g}",
                SOURCES[place.source],
                *(plus_minus(ratio(runs, p, BASE, measure)) for p in POLICIES),
                plus_minus(ratio(runs, PACED, PLAIN, measure)),
            )
            for place, runs in found.items()
        ]
        headings = ("load", "forecasts", *(f"`{p}`" for p in POLICIES), "paced over not")
        grids.append(
            Grid(f"{measure.capitalize()} latency over that of `{BASE}`, {seeds} seeds", headings, tuple(rows))
        )
    return Section("In realistic conditions", (INTRODUCTION,), tuple(grids))


INTRODUCTION: Final = (
    f"{JOBS:,} LMSYS-like requests arrive as a Poisson process; the engine batches as vLLM does (256 sequences, 2,048 "
    f"tokens an iteration, recompute), with {16 * BLOCKS:,} tokens of KV cache and the step times of `h100-8b`. Load "
    f"is a share of what `{BASE}` sustains. The last column is `{PACED}` over `{PLAIN}`, seed by seed. Confidence "
    "intervals are of 95 %."
)

"""Total latency over the area bound: hindsight, least area, and least area with pacing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.report import interval
from soonest.report.study import Grid, Section
from soonest.sim import Options, simulate
from soonest.sim.forecasts import beliefs
from soonest.sim.theory import area_bound
from soonest.sim.workload import PICOSECONDS
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import Order, by_order, compared, plus_minus
from soonest.studies.robust.lengths import LONGEST, MEMORY, chats, geometrics, rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.report.study import Cell
    from soonest.sim import Workload
    from soonest.studies.reproduction import Progress, Settings


@dataclass(frozen=True)
class Backlog:
    """Requests that all wait at 0: geometric of this mean, or LMSYS-like where there is none."""

    lengths: str
    jobs: int
    memory: int
    mean: float = 0.0
    prompts: bool = False

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"{self.lengths} ({self.jobs:,} in {self.memory:,} tokens)"

    def work(self, seed: int) -> Workload:
        """The requests, drawn with this seed."""
        if self.mean:
            return geometrics(seed, self.jobs, self.mean)
        return chats(seed, self.jobs, prompts=self.prompts)


HUGE: Final = (
    Backlog("geometric of mean 5", 400_000, 4_000, 5),
    Backlog("geometric of mean 20", 400_000, 40_000, 20),
)
SMALL: Final = (
    Backlog("geometric of mean 5", 2_000, 400, 5),
    Backlog("geometric of mean 20", 2_000, 1_000, 20),
    Backlog("geometric of mean 20", 2_000, 4_000, 20),
    Backlog("LMSYS-like without prompts", 2_000, MEMORY),
    Backlog("LMSYS-like with prompts", 2_000, MEMORY, prompts=True),
)
LARGE: Final = (
    Backlog("geometric of mean 20", 20_000, 4_000, 20),
    Backlog("LMSYS-like without prompts", 10_000, MEMORY),
    Backlog("LMSYS-like with prompts", 10_000, MEMORY, prompts=True),
)
UNSURE: Final = (SMALL[1], SMALL[4], *LARGE)
"""Those that are run with intervals too."""
KNOWN: Final = "oracle"
SOURCES: Final = {
    "around(0.1)": "o(1 ± 0.1)",
    "around(0.5)": "o(1 ± 0.5)",
    "around(0.9)": "o(1 ± 0.9)",
    f"interval(1,{LONGEST})": f"[1, {LONGEST}] for all",
}
POLICY: Final = "least_area"
SEEDS: Final = 10
FEW: Final = 3
"""Seeds of the huge."""


class Case(NamedTuple):
    """A backlog, what is forecast of it, and what an eviction costs."""

    backlog: Backlog
    source: str = KNOWN
    restart: bool = True


class Task(NamedTuple):
    """A case to run."""

    case: Case
    seed: int


class Ratio(NamedTuple):
    """Over the area bound: total latency of hindsight, of least area, and of that paced; paced over not, p99 and the
    longest; and the end of the paced one over the end with memory always full.
    """  # noqa: D205 - one thought

    hindsight: float
    plain: float
    paced: float
    p99: float
    longest: float
    end: float


Found = dict[Case, list[Ratio]]
"""Seed by seed."""


def over_bound(task: Task) -> Ratio:
    """One backlog, served in three ways."""
    from soonest.studies.robust.rounds import latencies, total_latency  # noqa: PLC0415 - loads the compiler

    backlog, source, restart = task.case
    work, memory = backlog.work(task.seed), backlog.memory
    told = work.believing(beliefs(source, work.output_tokens))
    bound = area_bound(work.prompt_tokens, work.output_tokens, memory)
    hindsight = total_latency(work, "a_min", memory, task.seed)
    plain = latencies(told, POLICY, memory, task.seed, restart=restart)
    paced = _paced(told, memory, restart=restart)
    area = work.prompt_tokens * work.output_tokens + work.output_tokens * (work.output_tokens + 1) / 2
    return Ratio(
        hindsight / bound,
        float(plain.sum()) / bound,
        float(paced.sum()) / bound,
        float(np.percentile(paced, 99) / np.percentile(plain, 99)),
        float(paced.max() / plain.max()),
        float(paced.max()) / (float(area.sum()) / memory),
    )


def _paced(told: Workload, memory: int, *, restart: bool) -> NDArray[np.float64]:
    options = Options(replace(rules(memory), restart=restart, pace=True))
    return simulate(told, POLICY, options, backend="kernel").finished / PICOSECONDS


def measure(settings: Settings, progress: Progress) -> Found:
    """Every backlog with true lengths, some with intervals; the huge in a full run only."""
    seeds = settings.seeds("below_hindsight", settings.repetitions(SEEDS))
    huge = [] if settings.scale < 1 else [Case(backlog) for backlog in HUGE]
    known = [Case(backlog) for backlog in (*SMALL, *LARGE)]
    unsure = [Case(b, source, restart) for b in UNSURE for source in SOURCES for restart in (True, False)]
    tasks = [Task(case, seed) for case in huge for seed in seeds[:FEW]]
    tasks += [Task(case, seed) for case in (*known, *unsure) for seed in seeds]
    found: Found = {}
    for task, ratio in zip(tasks, spread(over_bound, tasks, settings, progress, "pacing"), strict=True):
        found.setdefault(task.case, []).append(ratio)
    return found


def _column(runs: Sequence[Ratio], name: str) -> list[float]:
    return [getattr(run, name) for run in runs]


def pays(found: Found, cases: Mapping[str, Case]) -> dict[str, Order]:
    """Total latency with pacing beside that without, by the names of the cases."""
    return {name: compared(_column(found[c], "paced"), _column(found[c], "plain")) for name, c in cases.items()}


WORDS: Final = {
    Order.BELOW: "is lower for",
    Order.ABOVE: "is higher for",
    Order.EITHER: "is not told apart for",
}


def stands(found: Found) -> list[str]:
    """Where pacing pays with true lengths, and how often with intervals."""
    known = {case.backlog.name: case for case in found if case.source == KNOWN}
    said = [_counted(found, source, name) for source, name in SOURCES.items()]
    return [
        f"True lengths, all at once: with pacing `{POLICY}`'s total latency {by_order(pays(found, known), WORDS)}.",
        f"With intervals, under restart and recompute: {'; '.join(said)}.",
    ]


def _counted(found: Found, source: str, name: str) -> str:
    """`o(1 ± 0.1): lower in 4 and higher in 6 of 10 cases`."""
    orders = list(pays(found, {str(case): case for case in found if case.source == source}).values())
    below, above = (orders.count(order) for order in (Order.BELOW, Order.ABOVE))
    return f"{name}: lower in {below} and higher in {above} of {len(orders)} cases"


def section(found: Found) -> Section:
    """How close to the area bound each comes."""
    known = [case for case in found if case.source == KNOWN]
    exact = tuple(_line(case, found[case]) for case in known)
    lines: list[tuple[Cell, ...]] = []
    for backlog in dict.fromkeys(case.backlog for case in found if case.source != KNOWN):
        for source, name in SOURCES.items():
            both = [found[Case(backlog, source, restart)] for restart in (True, False)]
            cells = [cell for runs in both for cell in _cells(runs, ("plain", "paced"))]
            tails = [f"{p99:.2f}, {longest:.2f}" for p99, longest in (_means(runs) for runs in both)]
            lines.append((backlog.lengths, backlog.jobs, backlog.memory, name, *cells, *tails))
    seeds = len(found[known[-1]])
    return Section(
        "Below hindsight",
        (INTRODUCTION,),
        (
            Grid(f"Total latency over the area bound, true lengths, {seeds} seeds", EXACT, exact),
            Grid(f"The same with intervals, `{POLICY}`, {seeds} seeds", INTERVALS, tuple(lines)),
        ),
    )


def _line(case: Case, runs: Sequence[Ratio]) -> tuple[Cell, ...]:
    p99, longest = _means(runs)
    totals = _cells(runs, ("hindsight", "plain", "paced"))
    place = case.backlog.lengths, case.backlog.jobs, case.backlog.memory
    return (*place, *totals, f"{p99:.2f}, {longest:.2f}", *_cells(runs, ("end",)))


def _cells(runs: Sequence[Ratio], names: Iterable[str]) -> list[str]:
    return [plus_minus(interval(_column(runs, name))) for name in names]


def _means(runs: Sequence[Ratio]) -> tuple[float, float]:
    return float(np.mean(_column(runs, "p99"))), float(np.mean(_column(runs, "longest")))


TAILS: Final = "p99 and longest, paced over not"
EXACT: Final = (
    "lengths", "n", "M", "hindsight (H-SF)", f"`{POLICY}`", "paced", TAILS, "last end, paced",
)  # fmt: skip
INTERVALS: Final = (
    "lengths", "n", "M", "forecasts", "restart", "restart, paced", "recompute", "recompute, paced",
    f"restart: {TAILS}", f"recompute: {TAILS}",
)  # fmt: skip
INTRODUCTION: Final = (
    "No schedule has a lower total latency than serving by area with memory full all the time: the area bound. Pacing "
    "starts no more area in an iteration than memory can hold. The last end is over that with memory always full. "
    f"Confidence intervals are of 95 %; the huge backlogs have {FEW} seeds."
)

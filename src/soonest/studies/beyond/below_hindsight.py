"""Total latency over the area bound: hindsight, least area, and least area with pacing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from soonest.core import Rules
from soonest.report.study import Grid, Section
from soonest.sim import Options, simulate
from soonest.sim.forecasts import beliefs
from soonest.sim.theory import area_bound
from soonest.studies.beyond.lengths import chats, geometric, spread_of
from soonest.studies.reproduction import spread

if TYPE_CHECKING:
    from soonest.report.study import Cell
    from soonest.sim import Workload
    from soonest.studies.reproduction import Progress, Settings


@dataclass(frozen=True)
class Backlog:
    """Requests that all wait at 0: geometric of this mean, or LMSYS-like where there is none."""

    name: str
    jobs: int
    memory: int
    mean: float = 0.0
    prompts: bool = False

    def work(self, seed: int) -> Workload:
        """The requests, drawn with this seed."""
        if self.mean:
            return geometric(seed, self.jobs, self.mean)
        return chats(seed, self.jobs, prompts=self.prompts)


HUGE = (
    Backlog("geometric, mean 5", 400_000, 4_000, 5),
    Backlog("geometric, mean 20", 400_000, 40_000, 20),
)
SMALL = (
    Backlog("geometric, mean 5", 2_000, 400, 5),
    Backlog("geometric, mean 20", 2_000, 1_000, 20),
    Backlog("geometric, mean 20", 2_000, 4_000, 20),
    Backlog("LMSYS-like, no prompts", 2_000, 16_492),
    Backlog("LMSYS-like, prompts", 2_000, 16_492, prompts=True),
)
LARGE = (
    Backlog("geometric, mean 20", 20_000, 4_000, 20),
    Backlog("LMSYS-like, no prompts", 10_000, 16_492),
    Backlog("LMSYS-like, prompts", 10_000, 16_492, prompts=True),
)
SOURCES = {
    "o(1 ± 0.1)": "around(0.1)",
    "o(1 ± 0.5)": "around(0.5)",
    "o(1 ± 0.9)": "around(0.9)",
    "[1, 1000] for all": "interval(1,1000)",
}
ADMISSIONS = (("least_area", False), ("least_area", True))


@dataclass(frozen=True)
class Task:
    """A backlog, what is forecast of it, and what an eviction costs."""

    backlog: Backlog
    seed: int
    source: str = "oracle"
    restart: bool = True


def over_bound(task: Task) -> tuple[float, float, float, float]:
    """Total latency over the bound of hindsight, least area, and that paced; then when the paced one ends, over full
    memory's end.
    """  # noqa: D205 - one thought
    work, memory = task.backlog.work(task.seed), task.backlog.memory
    bound = area_bound(work.prompt_tokens, work.output_tokens, memory)
    found = [simulate(work, "a_min", Options(Rules.paper(memory)), backend="kernel").total_latency / bound]
    told = work.believing(beliefs(task.source, work.output_tokens))
    for policy, pace in ADMISSIONS:
        rules = Rules(blocks=memory, restart=task.restart, pace=pace)
        result = simulate(told, policy, Options(rules), backend="kernel")
        found.append(result.total_latency / bound)
    area = work.prompt_tokens * work.output_tokens + work.output_tokens * (work.output_tokens + 1) / 2
    last = float(result.finished.max()) / 1e12 / (float(area.sum()) / memory)
    return found[0], found[1], found[2], last


def below_hindsight(settings: Settings, progress: Progress) -> Section:
    """How close staggered starts come to the area bound, with true lengths and with intervals."""
    seeds = settings.seeds("below_hindsight", settings.repetitions(3))
    huge = [] if settings.scale < 1 else [Task(b, seeds[0]) for b in HUGE]
    known = [*huge, *(Task(b, s) for b in (*SMALL, *LARGE) for s in seeds)]
    fewer = seeds[: settings.repetitions(2)]
    unsure = [
        Task(b, s, source, restart)
        for b in (SMALL[1], SMALL[4], *LARGE)
        for source in SOURCES.values()
        for restart in (True, False)
        for s in fewer
    ]
    found = dict(
        zip([*known, *unsure], spread(over_bound, [*known, *unsure], settings, progress, "pacing"), strict=True)
    )
    exact = [_line(b, [found[t] for t in known if t.backlog == b]) for b in dict.fromkeys(t.backlog for t in known)]
    lines: list[tuple[Cell, ...]] = []
    for b in dict.fromkeys(t.backlog for t in unsure):
        for name, source in SOURCES.items():
            cells = []
            for restart in (True, False):
                results = [found[Task(b, s, source, restart)] for s in fewer]
                cells += [spread_of([r[k] for r in results]) for k in (1, 2)]
            lines.append((b.name, b.jobs, b.memory, name, *cells))
    paced = ("restart", "restart, paced", "recompute", "recompute, paced")
    return Section(
        "Below hindsight",
        TEXT,
        (
            Grid("Total latency over the area bound, true lengths", HEADINGS, tuple(exact)),
            Grid("The same with intervals, least_area", ("lengths", "n", "M", "forecasts", *paced), tuple(lines)),
        ),
    )


def _line(backlog: Backlog, results: list[tuple[float, float, float, float]]) -> tuple[str | int, ...]:
    cells = [spread_of([r[k] for r in results]) for k in range(4)]
    return (backlog.name, backlog.jobs, backlog.memory, *cells)


HEADINGS = ("lengths", "n", "M", "hindsight (H-SF)", "least_area", "least_area, paced", "paced: last end")
TEXT = (
    (
        "No schedule has a lower total latency than serving by area with memory full all the time. Greedy look-"
        "ahead starts equal lengths together, so memory is half empty on average; pacing starts no more area in an"
        " iteration than memory can hold. The last column is the end of the last request over the end with memory "
        "always full."
    ),
    (
        "Pacing pays where the backlog is long against an answer and forecasts are right on average; it costs "
        "where the backlog is short (2,000 LMSYS-like requests), where prompts spread starts anyway, and with one "
        "wide interval for all."
    ),
)

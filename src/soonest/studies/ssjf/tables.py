"""The paper's tables and figures as its authors' code makes them, each cell beside what that code gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from soonest.report.study import Chart, Curve, Grid, Section
from soonest.studies.ssjf import twenty
from soonest.studies.ssjf.jobs import EXPERIMENTS, TABLED, tabled
from soonest.studies.ssjf.published import Batching, Faults, Mode
from soonest.studies.ssjf.runs import ARMS, FCFS, FIVE, SJF, THREE, Setting, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soonest.report.study import Cell
    from soonest.studies.reproduction import Progress, Settings
    from soonest.studies.ssjf.runs import Runs
    from soonest.studies.ssjf.twenty import Spread

NAMES: Final = {"poisson": "Poisson", "gamma": "gamma", "azure": "Azure"}
SIZES: Final = (2, 4, 6, 8, 10)
ALONE: Final = Mode(Batching.NONE)
BATCHED: Final = (Batching.DYNAMIC, Batching.CONTINUOUS)
MODES: Final = (ALONE, *(Mode(batching, size) for batching in BATCHED for size in SIZES))
CLOSELY: Final = (ALONE, Mode(Batching.DYNAMIC, 4), Mode(Batching.CONTINUOUS, 4), Mode(Batching.CONTINUOUS, 8))
"""Modes that figures of the authors' code are known for: these get all runs, the others a quarter."""
RUNS: Final = 400


PROTOCOL: Final = (
    "The authors' simulator, written anew from their repository with every fault in it: 50 jobs, a service of 0.1 s "
    "and 0.02 s a token, lengths of Vicuna-13B's answers with the classes that their BERT predicted. A cell is an "
    "average over five values of an axis, as their plotting script takes it: Poisson arrivals at 1, 3, 5, 7 and 9 a "
    "second, gamma arrivals at 0.03 a second with a CV of 1 to 5, and a stretch of the Azure conversations sped up "
    "0.5, 2, 10, 50 and 200 times. These values stand in their evaluation script."
)
TASKS: Final = (
    "Their repository holds BERT's predictions for two of its tasks, three and five classes. Those of regression, of "
    "ordinal classes and of whole dialogues are named by their scripts and not published, so they cannot be run."
)
TIMEOUT: Final = (
    "FCFS waits out 10 s for a batch that is not full, and the other orders never wait; what that is worth with "
    "continuous batching is told under 'Both sides on one code path'."
)
AXES: Final = (
    "The authors' experiments without batching, at their ten values of each axis; the band is the 95 % interval of "
    "20-run figures. Uniform gaps, from 1 / (rate + 0.5) to 1 / (rate - 0.5) seconds, are in their simulator and in "
    "none of their experiments."
)
BOTH: Final = (
    "Throughput in requests a second by both definitions, and the factor over FCFS: jobs done when a quarter of all "
    "is done, over that moment; and all jobs that end, over the end of the last, which a dropped job brings forward"
)


class Measured(NamedTuple):
    """What the authors' code gave in 20 runs a point: JCT gains in per cent, 25 %-completion throughputs as factors."""

    fcfs: float
    gain_sjf: float
    gain_ssjf: float
    factor_sjf: float
    factor_ssjf: float


MEASURED: Final = {
    (CLOSELY[0], "poisson"): Measured(84.5, 43.7, 32.0, 4.71, 3.09),
    (CLOSELY[0], "gamma"): Measured(45.0, 37.6, 27.7, 3.37, 2.43),
    (CLOSELY[0], "azure"): Measured(21.1, 38.3, 29.0, 1.52, 1.37),
    (CLOSELY[1], "poisson"): Measured(39.0, 59.7, 32.8, 3.00, 1.98),
    (CLOSELY[1], "gamma"): Measured(25.2, 55.9, 36.0, 3.88, 2.28),
    (CLOSELY[2], "poisson"): Measured(18.4, 39.8, 26.2, 2.05, 1.78),
    (CLOSELY[2], "gamma"): Measured(17.7, 48.4, 41.8, 1.96, 1.53),
}


class Compared(NamedTuple):
    """A cell of theirs beside ours."""

    mode: Mode
    arrivals: str
    what: str
    ours: Spread
    theirs: float
    decimals: int

    @property
    def inside(self) -> bool:
        """Whether theirs lies in the 95 % interval of such evaluations."""
        return self.ours.holds(self.theirs, self.decimals)


@dataclass(frozen=True, slots=True)
class Published:
    """All runs of the published form, by mode and arrivals, and by experiment without batching."""

    tables: dict[tuple[Mode, str], Runs]
    experiments: dict[str, Runs]

    def gain(self, mode: Mode, arrivals: str, arm: str) -> Spread:
        """By how much mean JCT falls, in per cent."""
        runs = self.tables[mode, arrivals]
        return twenty.gain(runs.of(arm, "jct"), runs.of(FCFS, "jct"))

    def factor(self, mode: Mode, arrivals: str, arm: str, measure: str = "quarter") -> Spread:
        """How many times as high a throughput is."""
        runs = self.tables[mode, arrivals]
        return twenty.factor(runs.of(arm, measure), runs.of(FCFS, measure))

    def cells(self) -> Iterator[Compared]:
        """Every gain and throughput that is known of the authors' code."""
        for (mode, arrivals), theirs in MEASURED.items():
            for arm, gain, factor in (
                (SJF, theirs.gain_sjf, theirs.factor_sjf),
                (FIVE, theirs.gain_ssjf, theirs.factor_ssjf),
            ):
                name = arm.partition(",")[0]
                yield Compared(mode, arrivals, f"JCT gain of {name}, %", self.gain(mode, arrivals, arm), gain, 1)
                ours = self.factor(mode, arrivals, arm)
                yield Compared(mode, arrivals, f"throughput (25 %) of {name}, x", ours, factor, 2)


def run_published(settings: Settings, progress: Progress) -> Published:
    """Every mode over the points of the tables, and every experiment without batching."""
    faults, most = Faults.published(), settings.repetitions(RUNS, twenty.RUNS)
    some = settings.repetitions(RUNS // 4, twenty.RUNS)
    cells = [(mode, name) for mode in MODES for name in TABLED]
    plans = [Setting(tabled(name), mode, faults, most if mode in CLOSELY else some) for mode, name in cells]
    plans += [Setting(experiment.points, ALONE, faults, some) for experiment in EXPERIMENTS.values()]
    found = run(plans, settings, progress, "as published")
    return Published(
        dict(zip(cells, found[: len(cells)], strict=True)), dict(zip(EXPERIMENTS, found[len(cells) :], strict=True))
    )


def sections(found: Published) -> list[Section]:
    """The tables, the cells one by one, batch sizes, and the experiments."""
    return [_tables(found), _sizes(found), _experiments(found)]


def _tables(found: Published) -> Section:
    cells = list(found.cells())
    inside, runs = sum(cell.inside for cell in cells), found.tables[ALONE, "poisson"].setting.repetitions
    left_out = "; ".join(f"{cell.mode.label}, {NAMES[cell.arrivals]}, {cell.what}" for cell in cells if not cell.inside)
    counted = (
        f"Of the {len(cells)} cells known of the authors' code, from 20 runs a point, {inside} lie inside the 95 % "
        f"interval of what 20 runs a point give here; the intervals come from {runs} runs a point, resampled. "
    )
    text = (PROTOCOL, TASKS, counted + (f"Outside: {left_out}. " if left_out else "None lies outside. ") + _fcfs(found))
    headings = ("batching", "arrivals", "what", "here", "95 % of 20-run figures", "their code", "inside")
    beside = Grid(
        "Cell by cell: the published form beside the authors' own code",
        headings,
        tuple(
            (
                cell.mode.label,
                NAMES[cell.arrivals],
                cell.what,
                *cell.ours.texts(cell.decimals),
                f"{cell.theirs:.{cell.decimals}f}",
                "yes" if cell.inside else "no",
            )
            for cell in cells
        ),
    )
    return Section("As published: the tables", text, (_table(found), _throughput(found), beside))


def _fcfs(found: Published) -> str:
    ours = {cell: twenty.mean(found.tables[cell].of(FCFS, "jct")) for cell in MEASURED}
    inside = sum(ours[cell].holds(theirs.fcfs, 1) for cell, theirs in MEASURED.items())
    return f"Of {len(MEASURED)} mean JCTs of FCFS that are known, {inside} lie inside such an interval."


def _table(found: Published) -> Grid:
    def row(mode: Mode, arrivals: str) -> tuple[Cell, ...]:
        runs = found.tables[mode, arrivals]
        means = [float(runs.of(arm, "jct").mean()) for arm in ARMS]
        gains = [found.gain(mode, arrivals, arm).text(1) for arm in (SJF, FIVE, THREE)]
        tails = [float(runs.of(arm, "p99").mean()) for arm in (FCFS, SJF, FIVE)]
        theirs = MEASURED[mode, arrivals].fcfs if (mode, arrivals) in MEASURED else None
        return mode.label, NAMES[arrivals], *means, theirs, *gains, *tails

    headings = (
        "batching", "arrivals", *ARMS, "FCFS, their code", "gain SJF %", "gain five %", "gain three %", "p99 FCFS",
        "p99 SJF", "p99 five",
    )  # fmt: skip
    return Grid(
        "Mean and p99 JCT in seconds, and by how much the mean falls (95 % interval of 20-run figures)",
        headings,
        tuple(row(mode, arrivals) for mode in CLOSELY for arrivals in TABLED),
    )


def _throughput(found: Published) -> Grid:
    def row(mode: Mode, arrivals: str) -> tuple[Cell, ...]:
        runs = found.tables[mode, arrivals]
        fcfs = [float(runs.of(FCFS, measure).mean()) for measure in ("quarter", "sustained")]
        quarter = [found.factor(mode, arrivals, arm).text(2) for arm in (SJF, FIVE, THREE)]
        sustained = [found.factor(mode, arrivals, arm, "sustained").text(2) for arm in (SJF, FIVE, THREE)]
        dropped = float(runs.of(FIVE, "dropped").mean())
        return mode.label, NAMES[arrivals], *fcfs, *quarter, *sustained, dropped

    headings = (
        "batching", "arrivals", "FCFS 25 %", "FCFS sustained", "25 % SJF x", "25 % five x", "25 % three x",
        "sustained SJF x", "sustained five x", "sustained three x", "jobs dropped a run",
    )  # fmt: skip
    return Grid(
        BOTH,
        headings,
        tuple(row(mode, arrivals) for mode in CLOSELY for arrivals in TABLED),
    )


def _sizes(found: Published) -> Section:
    rows, curves = [], []
    for batching in BATCHED:
        for arrivals in TABLED:
            spreads = [found.gain(Mode(batching, size), arrivals, FIVE) for size in SIZES]
            y, low, high = (tuple(getattr(s, part) for s in spreads) for part in ("value", "low", "high"))
            rows.append((str(batching), NAMES[arrivals], *y))
            curves.append(Curve(f"{batching}, {NAMES[arrivals]}", tuple(map(float, SIZES)), y, low, high))
    grid = Grid(
        "JCT gain of SSJF with five classes in %, by batch size, as published",
        ("batching", "arrivals", *(f"B={size}" for size in SIZES)),
        tuple(rows),
    )
    chart = Chart("JCT gain of SSJF by batch size, as published", "batch size B", "JCT gain (%)", tuple(curves))
    return Section("As published: batch sizes", (f"{_smallest_and_largest(found)} {TIMEOUT}",), (grid,), (chart,))


def _smallest_and_largest(found: Published) -> str:
    def gains(batching: Batching, size: int) -> str:
        return twenty.span(found.gain(Mode(batching, size), arrivals, FIVE).value for arrivals in TABLED)

    few, many = SIZES[0], SIZES[-1]
    told = (
        f"{each} batching {gains(each, few)} % at B={few} and {gains(each, many)} % at B={many}" for each in BATCHED
    )
    return f"SSJF gains with {', with '.join(told)}."


def _experiments(found: Published) -> Section:
    charts = [_chart(found, name, "jct", "mean JCT (s)") for name in EXPERIMENTS]
    charts += [_chart(found, name, "quarter", "25 % throughput (requests/s)") for name in TABLED]
    return Section("As published: the experiments", (AXES,), (), tuple(charts))


def _chart(found: Published, name: str, measure: str, label: str) -> Chart:
    experiment, runs = EXPERIMENTS[name], found.experiments[name]
    curves = []
    for arm in ARMS:
        spreads = [twenty.mean(row[None, :]) for row in runs.of(arm, measure)]
        y, low, high = (tuple(getattr(s, part) for s in spreads) for part in ("value", "low", "high"))
        curves.append(Curve(arm, tuple(map(float, experiment.values)), y, low, high))
    return Chart(experiment.title, experiment.axis, label, tuple(curves), log_x=name == "azure")

"""What each fault of the authors' code is worth, alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from soonest.report.study import Chart, Curve, Grid, Section
from soonest.studies.ssjf import twenty
from soonest.studies.ssjf.jobs import TABLED, Point, tabled
from soonest.studies.ssjf.published import Batching, Faults, Mode
from soonest.studies.ssjf.runs import FCFS, FIVE, SJF, Setting, run
from soonest.studies.ssjf.tables import ALONE, CLOSELY, NAMES, SIZES

if TYPE_CHECKING:
    from collections.abc import Callable

    from soonest.report.study import Cell
    from soonest.studies.reproduction import Progress, Settings
    from soonest.studies.ssjf.runs import Runs
    from soonest.studies.ssjf.tables import Published
    from soonest.studies.ssjf.twenty import Spread

RUNS: Final = 100
PUBLISHED: Final = Faults.published()
ONLY_IN: Final = {"sorted_gaps": "gamma", "whole_seconds": "poisson", "milliseconds_as_seconds": "azure"}
OF_STARVATION: Final = ("starvation_reads_truth", "waits_miscounted")
"""Switches that qualify the starvation rule, and do nothing without it."""
CELLS: Final = tuple((mode, arrivals) for mode in CLOSELY for arrivals in TABLED)
EIGHT: Final = Mode(Batching.CONTINUOUS, 8)
SAME_PATH: Final = {"poisson": 13.5, "gamma": 10.2, "azure": 0.3}
"""JCT gains in per cent with the authors' code, continuous batching of 8, both sides on one code path; 20 runs."""
COUNTS: Final = (50, 100, 200, 500, 1000, 2000)
OVERLOAD: Final = 1.0
"""Requests a second, where one server sustains about 0.27."""
ONE_BY_ONE: Final = (
    "Each fault of the published form taken away alone, and each added alone to a form that has none. A cell is the "
    "JCT gain of SSJF with five classes in %; jobs are the same in all rows. Empty where a fault does not apply. Two "
    "faults qualify the starvation rule; added, they are shown with it."
)
FLOATS: Final = (
    "`floating_seconds`: gaps of a bursty gamma process can be 10^-20 s. The loop counts seconds "
    "in floating point, so the first job of such a burst is alone in the queue for that long, and is served alone; in"
    " whole picoseconds the burst arrives together and the first batch is full."
)
PATHS: Final = (
    "FCFS waits out 10 s whenever its batch is not full, also when a batch forms anew and its members have begun; the "
    "other orders take whoever is there. Here FCFS is on the code path of the others. The last column of the table is "
    "the same comparison made with the authors' own code."
)
RULE: Final = (
    "At 1 request a second one server is overloaded, and in time every job waits over 100 s: then the rule serves by "
    "waiting, which is FCFS."
)
THEIRS: Final = {(True, 2000): (0.1, 1), (False, 2000): (39.0, 0)}
"""JCT gains in per cent in overload with the authors' code, by whether the rule is on and jobs, and their decimals."""


def applies(name: str, mode: Mode, arrivals: str) -> bool:
    """Whether a switch can change anything there."""
    if name == "fcfs_waits":
        return mode.slots > 1
    if name == "preempts":
        return mode.batching is Batching.CONTINUOUS
    return ONLY_IN.get(name, arrivals) == arrivals


def without(name: str) -> Faults:
    """The published form less one fault."""
    return replace(PUBLISHED, **{name: False})


def alone(name: str) -> Faults:
    """One fault, with the starvation rule where it qualifies that."""
    return replace(Faults(starvation=name in OF_STARVATION), **{name: True})


@dataclass(frozen=True, slots=True)
class Switched:
    """Runs by what was switched, mode and arrivals; the overload by whether the rule is on and jobs; batch sizes."""

    single: dict[tuple[Faults, Mode, str], Runs]
    overload: dict[tuple[bool, int], Runs]
    one_path: dict[tuple[Mode, str], Runs]

    def gain(self, faults: Faults, mode: Mode, arrivals: str, arm: str = FIVE) -> Spread:
        """JCT gain in per cent."""
        return _gain(self.single[faults, mode, arrivals], arm)


def run_switches(settings: Settings, progress: Progress) -> Switched:
    """Every fault without the others, and the others without it; FCFS on the others' path; the rule in overload."""
    forms: list[tuple[Faults, Mode, str]] = [(faults, *cell) for faults in (PUBLISHED, Faults()) for cell in CELLS]
    forms += [
        (form(name), mode, arrivals)
        for form in (without, alone)
        for name in Faults.names()
        for mode, arrivals in CELLS
        if applies(name, mode, arrivals)
    ]
    some = settings.repetitions(RUNS, twenty.RUNS)
    singles = run(
        [Setting(tabled(arrivals), mode, faults, some, (FCFS, FIVE)) for faults, mode, arrivals in forms],
        settings, progress, "one fault at a time",
    )  # fmt: skip
    sizes = [(Mode(Batching.CONTINUOUS, size), arrivals) for size in SIZES for arrivals in TABLED]
    paths = run(
        [Setting(tabled(a), mode, without("fcfs_waits"), 2 * some, (FCFS, SJF, FIVE)) for mode, a in sizes],
        settings, progress, "one code path",
    )  # fmt: skip
    rules = [(rule, jobs) for jobs in reversed(COUNTS) for rule in (True, False)]  # the longest first
    overload = run(
        [
            Setting(
                (Point("poisson", rate=OVERLOAD, jobs=jobs),),
                ALONE,
                PUBLISHED if rule else without("starvation"),
                settings.repetitions(100 if jobs <= 200 else 20, twenty.RUNS // 4),
                (FCFS, FIVE),
            )
            for rule, jobs in rules
        ],
        settings, progress, "overload",
    )  # fmt: skip
    return Switched(
        dict(zip(forms, singles, strict=True)),
        dict(zip(rules, overload, strict=True)),
        dict(zip(sizes, paths, strict=True)),
    )


def sections(found: Switched, published: Published) -> list[Section]:
    """Single faults, one code path beside the published form, and the starvation rule."""
    return [_single(found), _paths(found, published), _overload(found)]


def _single(found: Switched) -> Section:
    removed = _grid(found, "Published less one fault", ("all of them", PUBLISHED), without, "less")
    added = _grid(found, "One fault alone", ("none", Faults()), alone, "only")
    return Section("What each fault is worth", (ONE_BY_ONE, FLOATS), (removed, added))


def _grid(found: Switched, caption: str, first: tuple[str, Faults], form: Callable[[str], Faults], word: str) -> Grid:
    def cell(faults: Faults, mode: Mode, arrivals: str) -> Cell:
        known = (faults, mode, arrivals) in found.single
        return found.gain(faults, mode, arrivals).value if known else None

    def label(name: str) -> str:
        return f"{word} {'starvation and ' if word == 'only' and name in OF_STARVATION else ''}{name}"

    rows: list[tuple[Cell, ...]] = [(first[0], *(cell(first[1], *where) for where in CELLS))]
    rows += [(label(name), *(cell(form(name), *where) for where in CELLS)) for name in Faults.names()]
    headings = ("faults", *(f"{mode.label}, {NAMES[arrivals]}" for mode, arrivals in CELLS))
    return Grid(f"{caption}: JCT gain of SSJF in %", headings, tuple(rows))


def _paths(found: Switched, published: Published) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for arrivals in TABLED:
        for size in SIZES:
            mode = Mode(Batching.CONTINUOUS, size)
            gains = [_gain(found.one_path[mode, arrivals], arm) for arm in (SJF, FIVE)]
            gains.append(published.gain(mode, arrivals, FIVE))
            theirs = f"{SAME_PATH[arrivals]}" if mode == EIGHT else None
            rows.append((NAMES[arrivals], size, *(gain.text(1) for gain in gains), theirs))
    grid = Grid(
        "JCT gain in % with continuous batching, FCFS on the code path of the others (95 % interval of 20-run figures)",
        ("arrivals", "B", "SJF", "SSJF, five classes", "SSJF, as published", "SSJF, their code"),
        tuple(rows),
    )
    inside = sum(one_path(found, arrivals).holds(theirs, 1) for arrivals, theirs in SAME_PATH.items())
    counted = (
        f"{_beside(found, published, SIZES[0])} {_beside(found, published, SIZES[-1])} At B=8, {inside} of "
        f"{len(SAME_PATH)} of their figures lie inside the interval."
    )
    curves = []
    for arrivals in TABLED:
        spreads = [_gain(found.one_path[Mode(Batching.CONTINUOUS, size), arrivals], FIVE) for size in SIZES]
        y, low, high = (tuple(getattr(s, part) for s in spreads) for part in ("value", "low", "high"))
        curves.append(Curve(NAMES[arrivals], tuple(map(float, SIZES)), y, low, high))
    chart = Chart(
        "JCT gain of SSJF on one code path, continuous batching", "batch size B", "JCT gain (%)", tuple(curves)
    )
    return Section("Both sides on one code path", (PATHS, counted), (grid,), (chart,))


def _beside(found: Switched, published: Published, size: int) -> str:
    mode = Mode(Batching.CONTINUOUS, size)
    before = twenty.span(published.gain(mode, arrivals, FIVE).value for arrivals in TABLED)
    after = twenty.span(_gain(found.one_path[mode, arrivals], FIVE).value for arrivals in TABLED)
    return f"At B={size} SSJF gains {before} % as published and {after} % on one path."


def one_path(found: Switched, arrivals: str) -> Spread:
    """The gain of SSJF at a batch size of 8, FCFS waiting for nothing."""
    return _gain(found.one_path[EIGHT, arrivals], FIVE)


def overload_gain(found: Switched, jobs: int, *, rule: bool) -> Spread:
    """JCT gain of SSJF in per cent at 1 request a second."""
    return _gain(found.overload[rule, jobs], FIVE)


def _overload(found: Switched) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for jobs in COUNTS:
        with_rule, free = found.overload[True, jobs], found.overload[False, jobs]
        tails = (with_rule.of(FCFS, "p99"), with_rule.of(FIVE, "p99"), free.of(FIVE, "p99"))
        gains = [overload_gain(found, jobs, rule=rule).value for rule in (True, False)]
        rows.append((jobs, *gains, *(float(tail.mean()) for tail in tails)))
    grid = Grid(
        "The starvation rule at 1 request a second, no batching: JCT gain of SSJF in %, p99 JCT in seconds",
        ("jobs", "gain, rule on", "gain, rule off", "p99 FCFS", "p99, rule on", "p99, rule off"),
        tuple(rows),
    )
    axis = tuple(map(float, COUNTS))
    curves = tuple(
        Curve(name, axis, tuple(overload_gain(found, jobs, rule=rule).value for jobs in COUNTS))
        for name, rule in (("rule on", True), ("rule off", False))
    )
    chart = Chart("JCT gain of SSJF in overload", "jobs", "JCT gain (%)", curves, log_x=True)
    return Section("The starvation rule in overload", (RULE, _ruled(found)), (grid,), (chart,))


def _ruled(found: Switched) -> str:
    def gains(jobs: int) -> str:
        on, off = (overload_gain(found, jobs, rule=rule).text(1) for rule in (True, False))
        return f"With {jobs} jobs SSJF gains {on} % under the rule and {off} % without it."

    most = COUNTS[-1]
    p99 = [
        float(found.overload[rule, most].of(arm, "p99").mean())
        for rule, arm in ((True, FCFS), (True, FIVE), (False, FIVE))
    ]
    inside = [overload_gain(found, n, rule=r).holds(*THEIRS[r, n]) for r, n in THEIRS if (r, n) in found.overload]
    theirs = " and ".join(f"{gain:.{decimals}f} %" for gain, decimals in THEIRS.values())
    return (
        f"{gains(COUNTS[0])} {gains(most)} p99 JCT is then {p99[0]:.0f} s under FCFS, {p99[1]:.0f} s with the rule and "
        f"{p99[2]:.0f} s without it. The authors' own code gives {theirs} at 2000 jobs: {sum(inside)} of {len(inside)} "
        "lie inside the 95 % interval of 20-run figures, given in brackets."
    )


def _gain(runs: Runs, arm: str) -> Spread:
    return twenty.gain(runs.of(arm, "jct"), runs.of(FCFS, "jct"))

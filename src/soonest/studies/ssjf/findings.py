"""What the comparison shows without the faults, and which claims stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from soonest.report import interval, paired_gain
from soonest.report.study import Chart, Curve, Grid, Section
from soonest.studies.ssjf import own
from soonest.studies.ssjf.corrected import (
    ARMS,
    FCFS,
    FIVE,
    PROCESSES,
    RATIO,
    RULES,
    SJF,
    THREE,
    Case,
    average,
    column,
    plus_minus,
    simulated,
)
from soonest.studies.ssjf.switches import one_path
from soonest.studies.ssjf.tables import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from soonest.report import Interval
    from soonest.report.study import Cell
    from soonest.studies.reproduction import Progress, Settings
    from soonest.studies.ssjf.switches import Switched
    from soonest.studies.ssjf.tables import Published

    Floats = NDArray[np.float64]

RUNS: Final = 20
JOBS: Final = 2000
LOADS: Final = (0.5, 0.7, 0.9, 1.0, 1.2)
COUNTS: Final = (50, 200, 500, 1000, 2000)
CVS: Final = (1.0, 2.0, 3.0, 5.0)
CLOSELY: Final = ("no batching", "continuous B=4")
GAINING: Final = (SJF, FIVE, THREE, RATIO)
CLAIMED_GAIN, CLAIMED_FACTOR = "30.5-39.6", "2.2-3.6"
"""The abstract's ranges: per cent of mean JCT, and times the throughput, of SSJF against FCFS."""
MODEL: Final = (
    "No change to batching or memory: the model has nothing that could show it. A batch of eight takes as long as a "
    "batch of one, prompts cost nothing and memory has no end; the service times above are the paper's all the same."
)
FAIR: Final = (
    "None of the faults: both sides run in `soonest.sim`, with the paper's service times, 2,000 jobs, at a load that "
    "is a share of what FCFS sustains under the same rules. Gamma gaps have a CV of 2 and keep their order; Azure's "
    "conversations are a stretch of the trace, sped up whole. Dynamic batches take whoever waits, or wait up to 10 s "
    "to fill, under every order; continuous batches are joined at any iteration, and nobody who runs is sent back. "
    "Gains are paired, with 95 % confidence intervals; the longest wait is the worst of all repetitions."
)
RESPONSE: Final = (
    "`response ratio` is `response_ratio(shortest)` on the five classes: it orders by waiting over expected service, "
    "so nobody starves. It gives up part of the gain and keeps p99 and the longest wait near those of FCFS."
)


class Corrected(NamedTuple):
    """Repetitions by case, of shape (repetitions, arms, measures), and what the project's own forecasts gave."""

    cases: dict[Case, Floats]
    own: own.Outcome

    def of(self, case: Case, arm: str, measure: str) -> list[float]:
        """One number a repetition."""
        return column(self.cases[case], list(ARMS).index(arm), measure)

    def gain(self, case: Case, arm: str) -> Interval:
        """By how much mean JCT falls, in per cent."""
        return paired_gain(self.of(case, arm, "jct"), self.of(case, FCFS, "jct"))

    def factor(self, case: Case, arm: str, measure: str) -> Interval:
        """How many times as high a number is."""
        pairs = zip(self.of(case, arm, measure), self.of(case, FCFS, measure), strict=True)
        return interval([value / base for value, base in pairs])


def run_corrected(settings: Settings, progress: Progress) -> Corrected:
    """Loads under all rules and arrivals, numbers of jobs, burstiness, and the project's own forecasts."""
    cases = [Case(rules, process, load, JOBS) for rules in RULES for process in PROCESSES for load in LOADS]
    cases += [Case(rules, "poisson", load, jobs) for rules in CLOSELY for load in (0.9, 1.2) for jobs in COUNTS[:-1]]
    cases += [Case(rules, "gamma", 0.9, JOBS, cv) for rules in CLOSELY for cv in CVS if cv != 2]
    runs = settings.repetitions(RUNS)
    return Corrected(
        simulated(cases, runs, settings, progress, "corrected"), own.own_forecasts(runs, settings, progress)
    )


def sections(found: Corrected) -> list[Section]:
    """Tables by rules, curves over load, jobs and burstiness, and own forecasts."""
    return [_loads(found), _axes(found), own.section(found.own)]


def _loads(found: Corrected) -> Section:
    headings = (
        "arrivals", "load", "FCFS JCT s", *(f"gain %: {arm}" for arm in GAINING), "p99 s: FCFS", "p99 s: five classes",
        "p99 s: response ratio", "max wait s: FCFS", "max wait s: five classes", "max wait s: response ratio",
        "sustained x: five classes", "25 % x: five classes",
    )  # fmt: skip
    grids = [
        Grid(
            f"{rules}: {JOBS} jobs, {_runs(found)} repetitions",
            headings,
            tuple(_row(found, Case(rules, process, load, JOBS)) for process in PROCESSES for load in LOADS),
        )
        for rules in RULES
    ]
    charts = [
        chart
        for rules in ("no batching", "dynamic B=4", "continuous B=8")
        for chart in (_gains(found, rules), _tails(found, rules))
    ]
    return Section("Corrected: over load", (FAIR, RESPONSE), tuple(grids), tuple(charts))


def _row(found: Corrected, case: Case) -> tuple[Cell, ...]:
    gains = [plus_minus(found.gain(case, arm)) for arm in GAINING]
    tails = [average(found.of(case, arm, "p99")) for arm in (FCFS, FIVE, RATIO)]
    waits = [max(found.of(case, arm, "max_wait")) for arm in (FCFS, FIVE, RATIO)]
    factors = [plus_minus(found.factor(case, FIVE, measure), 3) for measure in ("sustained", "quarter")]
    return NAMES[case.arrivals], case.load, average(found.of(case, FCFS, "jct")), *gains, *tails, *waits, *factors


def _gains(found: Corrected, rules: str) -> Chart:
    curves = [
        _curve(f"{arm}, {NAMES[process]}", LOADS, (found.gain(Case(rules, process, load, JOBS), arm) for load in LOADS))
        for process in PROCESSES
        for arm in (SJF, FIVE)
    ]
    return Chart(f"Corrected, {rules}: JCT gain over FCFS", "load", "JCT gain (%)", tuple(curves))


def _tails(found: Corrected, rules: str) -> Chart:
    curves = [
        _curve(arm, LOADS, (interval(found.of(Case(rules, "poisson", load, JOBS), arm, "p99")) for load in LOADS))
        for arm in (FCFS, SJF, FIVE, RATIO)
    ]
    return Chart(f"Corrected, {rules}, Poisson: p99 JCT", "load", "p99 JCT (s)", tuple(curves), log_y=True)


def _axes(found: Corrected) -> Section:
    charts = []
    for rules in CLOSELY:
        by_jobs = [
            _curve(f"{arm}, load {load}", COUNTS, (found.gain(Case(rules, "poisson", load, n), arm) for n in COUNTS))
            for load in (0.9, 1.2)
            for arm in (SJF, FIVE)
        ]
        title = f"Corrected, {rules}, Poisson: JCT gain by jobs"
        charts.append(Chart(title, "jobs", "JCT gain (%)", tuple(by_jobs), log_x=True))
        by_cv = [
            _curve(arm, CVS, (found.gain(Case(rules, "gamma", 0.9, JOBS, cv), arm) for cv in CVS)) for arm in GAINING
        ]
        title = f"Corrected, {rules}, load 0.9: JCT gain by burstiness"
        charts.append(Chart(title, "CV of gaps", "JCT gain (%)", tuple(by_cv)))
    text = (
        "Fifty jobs are a start from an empty queue: below saturation they show little of what a queue does, above it "
        "they end before the long ones have waited long."
    )
    return Section("Corrected: over jobs and burstiness", (text,), (), tuple(charts))


def verdict(published: Published, switched: Switched, found: Corrected) -> Section:
    """Which of the paper's claims stand, in sentences made of the figures."""
    cells = list(published.cells())
    inside = sum(cell.inside for cell in cells)
    gains = [published.gain(mode, name, FIVE).value for mode, name in published.tables]
    factors = [published.factor(mode, name, FIVE).value for mode, name in published.tables]
    paths = [one_path(switched, name).value for name in PROCESSES]
    again = (
        f"The authors' figures come out again: {inside} of {len(cells)} known cells lie where 20 runs of this form "
        f"lie. Over all ways of batching SSJF's gain in mean JCT is {_range(gains)} %, and its 25 %-completion "
        f"throughput {_range(factors, 2)} times that of FCFS; the paper's abstract says {CLAIMED_GAIN} % and "
        f"{CLAIMED_FACTOR}x."
    )
    return Section("What stands", (again, _latency(found, paths), _rate(found), _tail(found), MODEL))


def _latency(found: Corrected, paths: Sequence[float]) -> str:
    def gains(rules: str, *loads: float) -> str:
        return _range([found.gain(Case(rules, name, load, JOBS), FIVE).mean for name in PROCESSES for load in loads])

    low = min(found.gain(Case("no batching", name, 0.9, JOBS), FIVE).mean for name in PROCESSES)
    stands = "stands where jobs queue" if low > float(CLAIMED_GAIN.partition("-")[0]) else "stands in part"
    return (
        f"Mean JCT: the claim {stands}. Without the faults SSJF on BERT's five classes "
        f"gains {gains('no batching', 0.9)} % without batching at load 0.9 and {gains('no batching', 1.2)} % at 1.2, "
        f"but {gains('no batching', 0.5)} % at 0.5. Continuous batching of 8 leaves {gains('continuous B=8', 0.9)} % "
        f"at 0.9 and {gains('continuous B=8', 0.5)} % at 0.5. Most of what the published form shows for large batches "
        f"is its FCFS, which waits: on one code path a continuous batch of 8 gains {_range(paths)} %."
    )


def _rate(found: Corrected) -> str:
    def factors(rules: Iterable[str], measure: str, loads: Sequence[float] = LOADS) -> list[float]:
        cases = (Case(each, name, load, JOBS) for each in rules for name in PROCESSES for load in loads)
        return [found.factor(case, FIVE, measure).mean for case in cases]

    alone = [rules for rules in RULES if not rules.startswith("dynamic")]
    claimed = float(CLAIMED_FACTOR.partition("-")[0])
    highest = max(factors(RULES, "quarter"))
    stands = "does not stand" if highest < claimed else "stands in part"
    return (
        f"Throughput: the claim {stands}. It is the rate up to the moment at which a quarter of 50 jobs is "
        f"done, which serving the short ones first brings forward; with {JOBS} jobs that factor is at most "
        f"{highest:.2f}. What the engine sustains is {_range(factors(alone, 'sustained'), 3)} times that of FCFS "
        "without batching and with continuous batching: order does not make an engine faster. Dynamic batching is the "
        "exception, because members of like length waste less of a batch: "
        f"{_range(factors(['dynamic B=4'], 'sustained', [1.2]), 2)} times at load 1.2."
    )


def _tail(found: Corrected) -> str:
    case = Case("no batching", "poisson", 1.2, JOBS)
    p99 = [interval(found.of(case, arm, "p99")).mean for arm in (FCFS, FIVE, RATIO)]
    waits = [max(found.of(case, arm, "max_wait")) for arm in (FCFS, FIVE, RATIO)]
    gain = found.gain(case, RATIO)
    return (
        f"What the means hide: without batching, at load 1.2 with Poisson arrivals, p99 JCT is {p99[0]:.0f} s under "
        f"FCFS and {p99[1]:.0f} s under SSJF, and the longest wait {waits[0]:.0f} s and {waits[1]:.0f} s. The authors' "
        "starvation rule ends that by turning into FCFS. `response_ratio(shortest)` keeps a gain of "
        f"{plus_minus(gain)} % with a p99 of {p99[2]:.0f} s and a longest wait of {waits[2]:.0f} s."
    )


def _range(values: Sequence[float], decimals: int = 1) -> str:
    low, high = f"{min(values):.{decimals}f}", f"{max(values):.{decimals}f}"
    return low if low == high else f"{low} to {high}"


def _curve(name: str, x: Sequence[float], intervals: Iterable[Interval]) -> Curve:
    found = list(intervals)
    widths = [each.half_width or 0.0 for each in found]
    y = tuple(each.mean for each in found)
    low, high = (tuple(v + sign * w for v, w in zip(y, widths, strict=True)) for sign in (-1, 1))
    return Curve(name, tuple(map(float, x)), y, low, high)


def _runs(found: Corrected) -> int:
    return len(next(iter(found.cases.values())))

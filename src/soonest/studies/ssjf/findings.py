"""What the comparison shows without the faults, and which claims stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from soonest.report import interval
from soonest.report.study import VERDICT, Chart, Curve, Grid, Section
from soonest.studies.ssjf import corrected, own
from soonest.studies.ssjf.corrected import (
    FCFS,
    FIVE,
    PROCESSES,
    RATIO,
    RULES,
    SJF,
    THREE,
    Case,
    Corrected,
    average,
    plus_minus,
    simulated,
)
from soonest.studies.ssjf.switches import EIGHT, one_path, overload_gain
from soonest.studies.ssjf.tables import NAMES
from soonest.studies.ssjf.twenty import span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from soonest.report import Interval
    from soonest.report.study import Cell
    from soonest.studies.reproduction import Progress, Settings
    from soonest.studies.ssjf.switches import Switched
    from soonest.studies.ssjf.tables import Published

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
    "batch of one, prompts cost nothing and memory has no end; the service times are the paper's all the same."
)
FAIR: Final = (
    f"None of the faults: both sides run in `soonest.sim`, with the paper's service times, {JOBS} jobs, at a load that "
    "is a share of what FCFS sustains under the same rules. Gamma gaps have a CV of 2 and keep their order; Azure's "
    "conversations are a stretch of the trace, sped up whole. Dynamic batches take whoever waits, or wait up to 10 s "
    "to fill, under every order; continuous batches are joined at any iteration, and nobody who runs is sent back. "
    "Gains are paired, with 95 % confidence intervals; the longest wait is the worst of all repetitions."
)


def check(settings: Settings) -> None:
    """Refuse, before long work, files that this part cannot use.

    Raises:
        SoonestError: one is missing, malformed or too small.
    """
    corrected.check(settings, JOBS)
    own.check(settings)


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
    return Section("Corrected: over load", (FAIR, _response(found)), tuple(grids), tuple(charts))


def _response(found: Corrected) -> str:
    cases = [Case(rules, process, load, JOBS) for rules in RULES for process in PROCESSES for load in LOADS]
    gains, tails = (
        [span(values) for values in zip(*rows, strict=True)]
        for rows in (
            [[found.gain(case, arm).mean for arm in (RATIO, FIVE)] for case in cases],
            [[found.factor(case, arm, "p99").mean for arm in (RATIO, FIVE)] for case in cases],
        )
    )
    return (
        "`response ratio` is `response_ratio(shortest)` on the five classes: it orders by waiting over expected "
        f"service, so nobody starves. Over all rules, arrivals and loads it gains {gains[0]} %, and its p99 is "
        f"{tails[0]} times that of FCFS; SSJF on the same classes gains {gains[1]} %, and its p99 is {tails[1]} times."
    )


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
    text = tuple(_few_and_many(found, rules) for rules in CLOSELY)
    return Section("Corrected: over jobs and burstiness", text, (), tuple(charts))


def _few_and_many(found: Corrected, rules: str) -> str:
    def gains(load: float) -> str:
        few, many = (plus_minus(found.gain(Case(rules, "poisson", load, n), FIVE)) for n in (COUNTS[0], COUNTS[-1]))
        return f"{few} % with {COUNTS[0]} jobs and {many} % with {COUNTS[-1]} at load {load}"

    return f"{rules[0].upper()}{rules[1:]}, Poisson: SSJF on five classes gains {gains(0.9)}, {gains(1.2)}."


def verdict(published: Published, switched: Switched, found: Corrected) -> Section:
    """Which of the paper's claims stand, in sentences made of the figures."""
    return Section(
        VERDICT, (_again(published), _latency(found, published, switched), _rate(found), _tail(found, switched), MODEL)
    )


def _again(published: Published) -> str:
    cells = list(published.cells())
    inside = sum(cell.inside for cell in cells)
    come = "come out again" if inside == len(cells) else "come out in part" if inside else "do not come out again"
    gains = [published.gain(mode, name, FIVE).value for mode, name in published.tables]
    factors = [published.factor(mode, name, FIVE).value for mode, name in published.tables]
    return (
        f"The authors' figures {come}: {inside} of {len(cells)} known cells lie where 20 runs of this form lie. Over "
        f"all ways of batching SSJF's gain in mean JCT is {span(gains)} %, and its 25 %-completion throughput "
        f"{span(factors, 2)} times that of FCFS; the paper's abstract says {CLAIMED_GAIN} % and {CLAIMED_FACTOR}x."
    )


def _latency(found: Corrected, published: Published, switched: Switched) -> str:
    def gains(load: float, *several: str) -> list[float]:
        return [found.gain(Case(rules, name, load, JOBS), FIVE).mean for rules in several for name in PROCESSES]

    least = _lowest(CLAIMED_GAIN)
    held = {rules: [load for load in LOADS if _holds(found, rules, load, least)] for rules in RULES}
    every = all(len(loads) == len(LOADS) for loads in held.values())
    stands = "stands" if every else "stands in part" if any(held.values()) else "is not confirmed"
    where = ", ".join(f"{rules} ({', '.join(map(str, loads)) or 'none'})" for rules, loads in held.items())
    at = ", ".join(f"{span(gains(0.9, rules))} % ({rules})" for rules in RULES)
    published_eight = span(published.gain(EIGHT, name, FIVE).value for name in PROCESSES)
    eight = span(one_path(switched, name).value for name in PROCESSES)
    return (
        f"Mean JCT: the claim {stands}. Without the faults SSJF on BERT's five classes gains {least:g} % or more under "
        f"all three arrivals, to the low end of the 95 % interval, at loads of: {where}. At load 0.9 it gains {at}; at "
        f"0.5, over all of these, {span(gains(0.5, *RULES))} %. With a continuous batch of 8 the published form gains "
        f"{published_eight} %, and with its FCFS on the code path of the other orders {eight} %."
    )


def _holds(found: Corrected, rules: str, load: float, least: float) -> bool:
    """Whether the gain is surely so high, however jobs arrive."""
    gains = [found.gain(Case(rules, name, load, JOBS), FIVE) for name in PROCESSES]
    return all(gain.half_width is not None and gain.mean - gain.half_width >= least for gain in gains)


def _lowest(claimed: str) -> float:
    return float(claimed.partition("-")[0])


def _rate(found: Corrected) -> str:
    def factors(rules: Iterable[str], measure: str, loads: Sequence[float] = LOADS) -> list[float]:
        cases = (Case(each, name, load, JOBS) for each in rules for name in PROCESSES for load in loads)
        return [found.factor(case, FIVE, measure).mean for case in cases]

    alone = [rules for rules in RULES if not rules.startswith("dynamic")]
    quarter, least = factors(RULES, "quarter"), _lowest(CLAIMED_FACTOR)
    stands = "stands" if min(quarter) >= least else "does not stand" if max(quarter) < least else "stands in part"
    return (
        f"Throughput: the claim {stands}. It is the rate up to the moment at which a quarter of 50 jobs is "
        f"done, which serving the short ones first brings forward; with {JOBS} jobs that factor is {span(quarter, 2)}. "
        f"What the engine sustains is {span(factors(alone, 'sustained'), 3)} times that of FCFS without batching and "
        "with continuous batching. A dynamic batch lasts as long as its longest member, so there it matters who is "
        f"together: {span(factors(['dynamic B=4'], 'sustained', [1.2]), 2)} times at load 1.2."
    )


def _tail(found: Corrected, switched: Switched) -> str:
    case, jobs = Case("no batching", "poisson", 1.2, JOBS), max(jobs for _, jobs in switched.overload)
    p99 = [interval(found.of(case, arm, "p99")).mean for arm in (FCFS, FIVE, RATIO)]
    waits = [max(found.of(case, arm, "max_wait")) for arm in (FCFS, FIVE, RATIO)]
    gains = [plus_minus(found.gain(case, arm)) for arm in (FIVE, RATIO)]
    on, off = (overload_gain(switched, jobs, rule=rule).value for rule in (True, False))
    return (
        f"Tails: without batching, at load 1.2 with Poisson arrivals, p99 JCT is {p99[0]:.0f} s under FCFS and "
        f"{p99[1]:.0f} s under SSJF, which gains {gains[0]} %; the longest wait is {waits[0]:.0f} s and "
        f"{waits[1]:.0f} s. `response_ratio(shortest)` gains {gains[1]} %, with a p99 of {p99[2]:.0f} s and a longest "
        f"wait of {waits[2]:.0f} s. The authors' starvation rule leaves their form a gain of {on:.1f} % with {jobs} "
        f"jobs at 1 request a second, where it has {off:.1f} % without the rule."
    )


def _curve(name: str, x: Sequence[float], intervals: Iterable[Interval]) -> Curve:
    found = list(intervals)
    widths = [each.half_width or 0.0 for each in found]
    y = tuple(each.mean for each in found)
    low, high = (tuple(v + sign * w for v, w in zip(y, widths, strict=True)) for sign in (-1, 1))
    return Curve(name, tuple(map(float, x)), y, low, high)


def _runs(found: Corrected) -> int:
    return len(next(iter(found.cases.values())))

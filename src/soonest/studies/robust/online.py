"""Requests that arrive over time: Poisson arrivals in rounds, and the setting of MC-SF's authors with its baselines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.data import poisson
from soonest.report import interval as interval_of
from soonest.report import paired_gain
from soonest.report.study import Chart, Grid, Section
from soonest.sim import NEVER, Options, beliefs, simulate
from soonest.sim.steptime import StepTime, roofline
from soonest.sim.workload import PICOSECONDS
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import beside, by_order, compared, curve, least, listed, plus_minus
from soonest.studies.robust.lengths import LONGEST, MEMORY, chats, rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.core import Rules
    from soonest.report import Interval
    from soonest.report.study import Cell
    from soonest.sim import Workload
    from soonest.studies.reproduction import Progress, Settings

HINDSIGHT: Final = "H-SF"
A_MAX: Final = "a_max"
A_MIN: Final = "a_min(stored, smallest)"
"""As published."""
POLICIES: Final = (
    A_MAX,
    A_MIN,
    "a_min(live, smallest)",
    "a_min",
    "a_ell",
    "two_point",
    "least_area",
    "fcfs_reserve",
)
"""One more policy is one more name."""
SOURCES: Final = (f"interval(1,{LONGEST})", f"bins(10,{LONGEST})", "around(0.5)")
LOADS: Final = (0.5, 0.7, 0.9, 1.1)
REQUESTS: Final = 3000
SEEDS: Final = 10
MC_SF: Final = "MC-SF"
LOOK_AHEAD: Final = "FCFS with look-ahead"
RATES: Final = (50.0, 10.0)
MANY: Final = 10_000
PROTECTED: Final = (0.02, 0.1, 0.2, 0.3)
CLEARED: Final = ((0.02, 0.1), (0.02, 0.2), (0.1, 0.1), (0.2, 0.2))
STUCK: Final = 50
"""Evictions after which a request of the clearing baselines is given up."""
PUBLISHED: Final = (32.11, 46.47)
"""Mean latencies of MC-SF and of memory-aware FCFS on 10,000 requests (arXiv:2502.07115)."""


class Latency(NamedTuple):
    """Of one run: mean, p99 and maximum, in rounds or seconds, and the share that never ended."""

    mean: float
    p99: float
    most: float
    lost: float


class Task(NamedTuple):
    """One workload: at a load under forecasts, or at a rate in MC-SF's setting."""

    source: str
    speed: float
    seed: int


Runs = dict[tuple[str, float, str], list[Latency]]
"""By forecasts (none in MC-SF's setting), load or rate, and policy."""


class Found(NamedTuple):
    """Both settings."""

    rounds: Runs
    seconds: Runs


def measured(work: Workload, words: str, options: Options) -> Latency:
    """Simulate, on the compiled kernel."""
    result = simulate(work, words, options, backend="kernel")
    done = result.finished != NEVER
    latencies = (result.finished - work.arrival_ps)[done] / PICOSECONDS
    return Latency(
        float(latencies.mean()), float(np.percentile(latencies, 99)), float(latencies.max()), float(1 - done.mean())
    )


def in_rounds(task: Task) -> dict[str, Latency]:
    """Every policy on Poisson arrivals, one iteration a round; load 1 would fill all of memory all of the time."""
    work = chats(task.seed, REQUESTS)
    prompts, outputs = work.prompt_tokens, work.output_tokens
    area = float(np.mean(prompts * outputs + outputs * (outputs + 1) / 2))
    work = work.at(poisson(REQUESTS, task.speed * MEMORY / area, task.seed))
    options = Options(rules(MEMORY), seed=task.seed)
    told = work.believing(beliefs(task.source, outputs))
    return {HINDSIGHT: measured(work, "a_min", options)} | {p: measured(told, p, options) for p in POLICIES}


def arms() -> dict[str, tuple[str, Rules]]:
    """MC-SF and its baselines: a policy with the true lengths, and rules."""
    plain = rules(MEMORY)
    found = {MC_SF: ("a_min", plain), LOOK_AHEAD: ("fcfs_reserve", plain)}
    for share, odds in [*((a, 1.0) for a in PROTECTED), *CLEARED]:
        name = f"alpha-protection {share:g}" + ("" if odds == 1 else f", beta-clearing {odds:g}")
        found[name] = "fcfs", replace(plain, watermark=share, clear=odds, max_evictions=STUCK)
    return found


def in_seconds(task: Task) -> dict[str, Latency]:
    """MC-SF and its baselines at a rate."""
    work = chats(task.seed, MANY)
    work = work.at(poisson(MANY, task.speed, task.seed))
    steps = step_time()
    return {
        name: measured(work, words, Options(given, steps, seed=task.seed)) for name, (words, given) in arms().items()
    }


def step_time() -> StepTime:
    """Llama-2-70B on two A100 SXM 80 GB, from data sheets: 80 layers, 8 KV heads of 128, bf16."""
    return roofline(69e9, kv_bytes=2 * 80 * 8 * 128 * 2, bandwidth=2 * 2.04e12, flops=2 * 312e12)


def measure(settings: Settings, progress: Progress) -> Found:
    """Both settings."""
    seeds = settings.seeds("online", settings.repetitions(SEEDS))
    tasks = [Task(source, load, seed) for source in SOURCES for load in LOADS for seed in seeds]
    rounds = _gathered(tasks, spread(in_rounds, tasks, settings, progress, "Poisson arrivals in rounds"))
    tasks = [Task("", rate, seed) for rate in RATES for seed in seeds]
    seconds = _gathered(tasks, spread(in_seconds, tasks, settings, progress, "MC-SF and its baselines"))
    return Found(rounds, seconds)


def _gathered(tasks: Sequence[Task], results: Sequence[Mapping[str, Latency]]) -> Runs:
    found: Runs = {}
    for task, latencies in zip(tasks, results, strict=True):
        for name, latency in latencies.items():
            found.setdefault((task.source, task.speed, name), []).append(latency)
    return found


def sections(found: Found) -> list[Section]:
    """One for each setting."""
    return [_poisson(found.rounds), _mc_sf(found.seconds)]


def _ratios(runs: Runs, source: str, speed: float, name: str, base: str = HINDSIGHT) -> list[float]:
    """Mean latency over the base's, seed by seed."""
    pairs = zip(runs[source, speed, name], runs[source, speed, base], strict=True)
    return [mine.mean / theirs.mean for mine, theirs in pairs]


def _ratio(runs: Runs, source: str, speed: float, name: str, base: str = HINDSIGHT) -> Interval:
    return interval_of(_ratios(runs, source, speed, name, base))


def _spread_of(runs: Sequence[Latency]) -> tuple[Cell, ...]:
    """Mean, p99 and maximum: means of the seeds, and the worst."""
    lost = 100 * float(np.mean([run.lost for run in runs]))
    return (
        plus_minus(interval_of([run.mean for run in runs]), 2),
        float(np.mean([run.p99 for run in runs])),
        max(run.most for run in runs),
        f"{lost:.1f} %" if lost else "none",
    )


def _poisson(runs: Runs) -> Section:
    seeds = len(next(iter(runs.values())))
    headings = ("policy", *(f"load {load:g}" for load in LOADS), "p99 at 0.9", "max at 0.9", "never end")
    grids, charts = [], []
    for source in SOURCES:
        rows = []
        for name in (HINDSIGHT, *POLICIES):
            ratios = [plus_minus(_ratio(runs, source, load, name)) for load in LOADS]
            rows.append((name if name == HINDSIGHT else f"`{name}`", *ratios, *_spread_of(runs[source, 0.9, name])[1:]))
        grids.append(Grid(f"Mean latency over H-SF's, `{source}`, {seeds} seeds", headings, tuple(rows)))
        charts.append(_over_load(runs, source))
    setting = (
        f"{REQUESTS:,} requests with LMSYS-like lengths arrive as a Poisson process, one iteration a round, M = "
        f"{MEMORY:,}. At load 1 the areas s o + o (o + 1) / 2 that arrive in a round would fill all of memory. p99 and "
        "maximum are latencies in rounds, the maximum that of all seeds."
    )
    best = [f"{source}: {listed(f'`{name}`' for name in _best(runs, source))}" for source in SOURCES]
    told = f"Least mean latency at load 0.9, with all whose paired difference from it may be 0: {'; '.join(best)}."
    return Section("Arrivals over time, in rounds", (setting, told), tuple(grids), tuple(charts))


def _over_load(runs: Runs, source: str) -> Chart:
    curves = [curve(name, LOADS, [_ratio(runs, source, load, name) for load in LOADS]) for name in POLICIES]
    return Chart(f"Poisson arrivals, {source}", "load", "mean latency / H-SF's", tuple(curves), log_y=True)


def stands(found: Found) -> list[str]:
    """A_min against A_max for each kind of forecasts, and MC-SF against its baseline."""
    return [*(_against_a_max(found.rounds, source) for source in SOURCES), _mc_sf_verdict(found.seconds)]


def _against_a_max(runs: Runs, source: str) -> str:
    orders = {f"load {load:g}": compared(*(_ratios(runs, source, load, p) for p in (A_MIN, A_MAX))) for load in LOADS}
    most = {p: max(_ratio(runs, source, load, p).mean for load in LOADS) for p in POLICIES}
    others = max(ratio for p, ratio in most.items() if p.startswith("a_min"))
    return (
        f"Arrivals over time, `{source}`: the published `{A_MIN}` is {by_order(orders, beside(f'`{A_MAX}`', 'at'))}. "
        f"Its mean latency is at most {most[A_MIN]:.2f} times H-SF's, that of `{A_MAX}` {most[A_MAX]:.2f} times, that "
        f"of any order of A_min {others:.2f} times."
    )


def _best(runs: Runs, source: str) -> list[str]:
    return least({name: _ratios(runs, source, 0.9, name) for name in POLICIES})


def _mc_sf(runs: Runs) -> Section:
    seeds = len(next(iter(runs.values())))
    headings = ("policy", "mean s of who ends", "p99 s", "max s", "never end", "gain of MC-SF %")
    grids = []
    for rate in RATES:
        best = [run.mean for run in runs["", rate, MC_SF]]
        rows = []
        for name in arms():
            several = runs["", rate, name]
            whole = name != MC_SF and not any(run.lost for run in several)
            gain = plus_minus(paired_gain(best, [run.mean for run in several]), 1) if whole else ""
            rows.append((name, *_spread_of(several), gain))
        grids.append(Grid(f"{rate:g} requests a second, {MANY:,} requests, {seeds} seeds", headings, tuple(rows)))
    least = step_time().iteration / 1e9
    setting = (
        f"M = {MEMORY:,}, true lengths, Poisson arrivals, prompts of mean 40.6 and median 11, answers of mean 85.3 and "
        f"median 45. Iterations take what Llama-2-70B on two A100s takes by data sheet, {least:.0f} ms and more with "
        "prompts and context. The baselines are rules, not policies: alpha-protection admits in order "
        "of arrival while (1 - alpha) M suffices and clears everyone on overflow; beta-clearing clears each with a "
        f"probability. Whoever is cleared more than {STUCK} times is given up. Latencies are of those who end: where "
        "some never do, they are no measure of the rule."
    )
    return Section("MC-SF and its baselines", (setting,), tuple(grids))


def _mc_sf_verdict(runs: Runs) -> str:
    said = [_at_rate(runs, rate) for rate in RATES]
    stuck = [name for name in arms() if any(run.lost for rate in RATES for run in runs["", rate, name])]
    return (
        f"MC-SF beside FCFS with look-ahead: {'; '.join(said)}. Published are {PUBLISHED[0]:g} s and {PUBLISHED[1]:g} "
        f"s, {PUBLISHED[0] / PUBLISHED[1]:.2f} times, for batch times that are not published. Some never end under "
        f"{listed(stuck or ['no rule'])}."
    )


def _at_rate(runs: Runs, rate: float) -> str:
    found = [runs["", rate, name] for name in (MC_SF, LOOK_AHEAD)]
    order = compared(*([run.mean for run in several] for several in found))
    p99, most = (
        [float(np.mean([getattr(run, what) for run in several])) for several in found] for what in ("p99", "most")
    )
    return (
        f"at {rate:g} a second mean latency is {plus_minus(_ratio(runs, '', rate, MC_SF, LOOK_AHEAD), 2)} times its "
        f"({order}), p99 {p99[0]:.0f} s against {p99[1]:.0f} s, the longest {most[0]:.0f} s against {most[1]:.0f} s"
    )

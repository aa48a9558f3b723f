"""Requests that arrive over time: Poisson arrivals in rounds, and the setting of MC-SF's authors with its baselines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.data import poisson
from soonest.report import interval as interval_of
from soonest.report import paired_gain
from soonest.report.study import Chart, Curve, Grid, Section
from soonest.sim import NEVER, Options, beliefs, simulate
from soonest.sim.steptime import StepTime, roofline
from soonest.sim.workload import PICOSECONDS
from soonest.studies.beyond.lengths import chats
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import plus_minus
from soonest.studies.robust.lengths import LONGEST, MEMORY, rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.core import Rules
    from soonest.report import Interval
    from soonest.report.study import Cell
    from soonest.sim import Workload
    from soonest.studies.reproduction import Progress, Settings

HINDSIGHT: Final = "H-SF"
POLICIES: Final = (
    "a_max",
    "a_min(stored, smallest)",
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


def _ratio(runs: Runs, source: str, speed: float, name: str, base: str = HINDSIGHT) -> Interval:
    """Mean latency over the base's, seed by seed."""
    pairs = zip(runs[source, speed, name], runs[source, speed, base], strict=True)
    return interval_of([mine.mean / theirs.mean for mine, theirs in pairs])


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
    text = setting, _online_verdict(runs)
    return Section("Arrivals over time, in rounds", text, tuple(grids), tuple(charts))


def _over_load(runs: Runs, source: str) -> Chart:
    curves = []
    for name in POLICIES:
        ratios = [_ratio(runs, source, load, name) for load in LOADS]
        low, high = (tuple(r.mean + sign * (r.half_width or 0.0) for r in ratios) for sign in (-1, 1))
        curves.append(Curve(name, LOADS, tuple(r.mean for r in ratios), low, high))
    return Chart(f"Poisson arrivals, {source}", "load", "mean latency / H-SF's", tuple(curves), log_y=True)


def _online_verdict(runs: Runs) -> str:
    wide = SOURCES[0]
    orders = [p for p in POLICIES if p.startswith("a_min")]

    def worst(source: str, name: str, loads: Sequence[float] = LOADS) -> float:
        return max(_ratio(runs, source, load, name).mean for load in loads)

    near = max(worst(source, p) for source in SOURCES[1:] for p in orders)
    far = max(worst(source, "a_max") for source in SOURCES[1:])
    several = [worst(wide, p) for p in orders]
    quiet = _ratio(runs, SOURCES[1], LOADS[0], "fcfs_reserve").mean
    best = [f"{source}: `{_best(runs, source)}`" for source in SOURCES]
    return (
        f"What stands: with bins or individual intervals every `a_min` stays within {near:.2f} of H-SF at every load, "
        f"and `a_max` loses up to {far:.2f}. With one interval for all `a_max` reaches {worst(wide, 'a_max'):.1f}, the "
        f"`a_min` {min(several):.2f} to {max(several):.2f}. What does not: where few wait there is little to order; at "
        f"load {LOADS[0]:g} `fcfs_reserve` with bins is at {quiet:.2f}. Best at load 0.9: {'; '.join(best)}."
    )


def _best(runs: Runs, source: str) -> str:
    ratios = [_ratio(runs, source, 0.9, name).mean for name in POLICIES]
    return POLICIES[ratios.index(min(ratios))]


def _mc_sf(runs: Runs) -> Section:
    seeds = len(next(iter(runs.values())))
    headings = ("policy", "mean s", "p99 s", "max s", "never end", "gain of MC-SF %")
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
        f"probability. Whoever is cleared more than {STUCK} times is given up."
    )
    return Section("MC-SF and its baselines", (setting, _mc_sf_verdict(runs)), tuple(grids))


def _mc_sf_verdict(runs: Runs) -> str:
    fast, slow = (_ratio(runs, "", rate, MC_SF, LOOK_AHEAD) for rate in RATES)
    stuck = [name for name in arms() if any(run.lost for run in runs["", RATES[0], name])]
    listed = ", ".join(stuck) or "none of them"
    tails = [float(np.mean([run.p99 for run in runs["", RATES[0], name]])) for name in (MC_SF, LOOK_AHEAD)]
    said = PUBLISHED[0] / PUBLISHED[1]
    return (
        f"What stands: at {RATES[0]:g} a second MC-SF's mean latency is {plus_minus(fast, 2)} of that of FCFS with "
        f"look-ahead. What does not: the published {PUBLISHED[0]:g} against {PUBLISHED[1]:g}, which is {said:.2f}. "
        "Batch times are not published, and they decide how far the system is overloaded, so how much order is worth. "
        f"Nor the gain as such: at {RATES[1]:g} a second the quotient is {plus_minus(slow, 2)}, because hardly anybody "
        f"waits, and at {RATES[0]:g} p99 goes from {tails[1]:.0f} s to {tails[0]:.0f} s. In a livelock some never end "
        f"under {listed}."
    )

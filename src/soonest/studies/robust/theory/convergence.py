"""Simulated ratios to hindsight beside the closed forms, over doublings of memory and of what waits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from soonest.report import Interval
from soonest.report import interval as interval_of
from soonest.report.study import Chart, Grid, Section
from soonest.sim.forecasts import interval
from soonest.sim.theory import a_ell_mixture, distribution_ratio
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import Check, curve, plus_minus, standing, verdict
from soonest.studies.robust.lengths import drawn, geometric, hardest, two_point, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.studies.reproduction import Progress, Settings

SEEDS = 10
CLOSE = 0.03
INTRODUCTION = (
    "`a_min_randomized` and `a_ell` in rounds against their closed forms: answers of at most 20 tokens, at least "
    "30 M / (s + l) requests, all arriving at 0. M doubles up to what the table shows, 50 (s + u)^2 at full scale. "
    "Confidence intervals are of 95 %."
)
SIZES = 3
"""Of each case: memory doubles, and with it the number of times that the waiting fill it."""


@dataclass(frozen=True)
class Case:
    """A length distribution on low..high: `weights[k]` is the share of length low + k.

    `fills` is how many times the waiting fill memory at the largest size, n l / M: the start, while the first long
    requests grow old, costs a share of about u / l in it.
    """

    name: str
    policy: str
    low: int
    weights: tuple[float, ...]
    expected: float
    prompt: int = 0
    fills: int = 120

    @property
    def high(self) -> int:
        """The longest length."""
        return self.low + len(self.weights) - 1

    def ratio(self, memory: int, jobs: int, seed: int) -> float:
        """One simulated ratio to H-SF."""
        from soonest.studies.robust.rounds import total_latency  # noqa: PLC0415 - loads the compiler

        work = drawn(self.weights, self.low, jobs, seed, self.prompt)
        told = work.believing(interval(work.output_tokens, self.low, self.high))
        return total_latency(told, self.policy, memory, seed) / total_latency(work, "a_min", memory, seed)


def _two_points(policy: str, low: int, high: int, fills: int = 120) -> Case:
    """At the mixture that is worst for the policy."""
    if policy == "a_ell":
        share = max(np.linspace(0.01, 0.99, 99).tolist(), key=lambda p: a_ell_mixture(low, high, p))
        weights, expected = two_point(low, high, share), a_ell_mixture(low, high, share)
    else:
        weights = hardest("two-point", low, high)
        expected = distribution_ratio(weights, low)
    return Case(f"two-point {low}, {high}", policy, low, tuple(weights.tolist()), expected, fills=fills)


def _spread(name: str, weights: Sequence[float], low: int, fills: int = 120) -> Case:
    return Case(name, "a_min_randomized", low, tuple(weights), distribution_ratio(np.array(weights), low), fills=fills)


def _worst(low: int, high: int, fills: int = 120) -> Case:
    return _spread(f"worst on {low}..{high}", hardest("worst case", low, high).tolist(), low, fills)


def _prompts(low: int, high: int, prompt: int) -> Case:
    ratio, weights = worst(np.arange(low, high + 1), prompt)
    name = f"worst on {low}..{high}, prompts of {prompt}"
    return Case(name, "a_min_randomized", low, tuple(weights.tolist()), ratio, prompt)


@cache
def cases() -> tuple[Case, ...]:
    """Those of the closed forms that can be simulated with u <= 20."""
    return (
        _two_points("a_min_randomized", 2, 4),
        _two_points("a_min_randomized", 1, 5),
        _two_points("a_min_randomized", 1, 10, fills=240),
        _spread("geometric, q = 0.75", geometric(1, 20, 0.75).tolist(), 1, fills=60),
        _spread("linearly weighted, q = 0.6", geometric(1, 20, 0.6, power=1).tolist(), 1, fills=60),
        _worst(2, 4),
        _worst(1, 10),
        _worst(1, 20, fills=60),
        _prompts(1, 5, 20),
        _two_points("a_ell", 2, 4),
        _two_points("a_ell", 1, 3),
        _two_points("a_ell", 1, 5),
        _two_points("a_ell", 1, 10),
        _two_points("a_ell", 1, 20, fills=60),
    )


class Size(NamedTuple):
    """Tokens of memory and requests."""

    memory: int
    jobs: int


def sizes(case: Case) -> list[Size]:
    """Up to M = 50 (s + u)^2: each time M doubles, the number of fills does too, from 30 on."""
    most = 50 * (case.prompt + case.high) ** 2
    steps = [(most >> down, max(30, case.fills >> down)) for down in reversed(range(SIZES))]
    return [Size(memory, fills * memory // (case.prompt + case.low)) for memory, fills in steps]


class Task(NamedTuple):
    """One simulated ratio to find."""

    case: int
    size: Size
    seed: int


def simulated(task: Task) -> float:
    """Its ratio."""
    return cases()[task.case].ratio(task.size.memory, task.size.jobs, task.seed)


class Point(NamedTuple):
    """What was found at a size."""

    size: Size
    ratio: Interval


class Found(NamedTuple):
    """Each case with its points, the largest size last."""

    cases: list[tuple[Case, list[Point]]]
    seeds: int


def measure(settings: Settings, progress: Progress) -> Found:
    """Every case at every size."""
    seeds = settings.seeds("convergence", settings.repetitions(SEEDS))
    count = settings.repetitions(SIZES)
    several = {case: sizes(case)[:count] for case in cases()}
    tasks = [Task(i, size, seed) for i, case in enumerate(cases()) for size in several[case] for seed in seeds]
    ratios = iter(spread(simulated, tasks, settings, progress, "closed forms by simulation"))
    points = [[Point(size, interval_of([next(ratios) for _ in seeds])) for size in several[case]] for case in cases()]
    return Found(list(zip(cases(), points, strict=True)), len(seeds))


def checks(found: Found) -> list[Check]:
    """The largest size of each case."""
    return [
        Check(f"{case.policy}, {case.name}", case.expected, last.ratio.mean, CLOSE, last.ratio.half_width)
        for case, (*_, last) in found.cases
    ]


def stands(found: Found) -> str:
    """How many closed forms, in simulation."""
    return (
        f"In simulation {standing('closed forms', checks(found))} stand: mean of {found.seeds} seeds, within {CLOSE:g}."
    )


def section(found: Found) -> Section:
    """Every case at its largest size, and the gaps at all sizes."""
    made, seeds = checks(found), found.seeds
    rows = tuple(
        (f"`{case.policy}`", case.name, f"{case.expected:.4f}", *_sized(case, points), "yes" if check.stands else "no")
        for (case, points), check in zip(found.cases, made, strict=True)
    )
    headings = ("policy", "lengths", "closed form", "M", "M / (s + u)^2", "n", "n (s + l) / M", "simulated", "gap", "")
    table = Grid(f"Simulated ratios to H-SF, {seeds} seeds", (*headings[:-1], f"within {CLOSE:g}"), rows)
    return Section(
        "Closed forms by simulation",
        (INTRODUCTION, _slow(found), verdict(f"closed forms in simulation, {seeds} seeds each,", made)),
        (table,),
        (_gaps(found),),
    )


def _slow(found: Found) -> str:
    """Which case is farthest off at its smallest size, and how it comes nearer."""
    case, points = max(found.cases, key=lambda each: abs(each[1][0].ratio.mean - each[0].expected))
    fills = [point.size.jobs * (case.prompt + case.low) // point.size.memory for point in points]
    gaps = [f"{p.ratio.mean - case.expected:+.3f} at {count}" for p, count in zip(points, fills, strict=True)]
    return f"Fills are n (s + l) / M. Farthest off at first is `{case.policy}` on {case.name}: {', '.join(gaps)} fills."


def _sized(case: Case, points: Sequence[Point]) -> tuple[int | str, ...]:
    memory, jobs = points[-1].size
    square = memory // (case.prompt + case.high) ** 2
    fills = jobs * (case.prompt + case.low) // memory
    ratio = points[-1].ratio
    return memory, square, jobs, fills, plus_minus(ratio, 4), f"{ratio.mean - case.expected:+.4f}"


def _gaps(found: Found) -> Chart:
    curves = [
        curve(
            f"{case.policy}, {case.name}",
            [float(point.size.jobs) for point in points],
            [Interval(point.ratio.mean - case.expected, point.ratio.half_width) for point in points],
        )
        for case, points in found.cases
    ]
    title = "Simulated ratio less closed form, as M and n grow"
    return Chart(title, "requests n", "gap", tuple(curves), log_x=True)

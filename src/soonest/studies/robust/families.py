"""Every policy over alpha, simulated, on the lengths that are hardest for A_min."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from soonest.report import interval as interval_of
from soonest.report.study import Chart, Curve, Grid, Section
from soonest.sim.forecasts import interval
from soonest.sim.theory import a_max_bound, distribution_ratio
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import plus_minus
from soonest.studies.robust.lengths import FAMILIES, drawn, hardest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.report import Interval
    from soonest.studies.reproduction import Progress, Settings


class Policy(NamedTuple):
    """Words for the registry, and whether equal keys are drawn at random instead of the newest going first."""

    words: str
    ties: bool = False

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"`{self.words}`, ties at random" if self.ties else f"`{self.words}`"


PUBLISHED: Final = Policy("a_min(stored, smallest)", ties=True)
RANDOMIZED: Final = Policy("a_min_randomized")
POLICIES: Final = (
    Policy("a_max"),
    PUBLISHED,
    Policy("a_min(live, smallest)", ties=True),
    Policy("a_min(stored, largest)", ties=True),
    Policy("a_min"),
    Policy("a_ell"),
    Policy("two_point"),
    Policy("least_area"),
    RANDOMIZED,
)
"""One more policy is one more name here, and in those of the other parts."""
HIGH: Final = 20
LOWS: Final = (10, 7, 4, 2, 1)
MEMORY: Final = 2000
FILLS: Final = 60
SEEDS: Final = 3


class Task(NamedTuple):
    """One workload under every policy."""

    family: str
    low: int
    seed: int


class Found(NamedTuple):
    """Ratios to H-SF by family, low and policy."""

    ratios: Mapping[tuple[str, int, Policy], Interval]
    seeds: int


def simulated(task: Task) -> list[float]:
    """Each policy's total latency over H-SF's."""
    from soonest.studies.robust.rounds import total_latency  # noqa: PLC0415 - loads the compiler

    weights = hardest(task.family, task.low, HIGH).tolist()
    work = drawn(weights, task.low, FILLS * MEMORY // task.low, task.seed)
    told = work.believing(interval(work.output_tokens, task.low, HIGH))
    hindsight = total_latency(work, "a_min", MEMORY, task.seed)
    return [total_latency(told, p.words, MEMORY, task.seed, ties=p.ties) / hindsight for p in POLICIES]


def measure(settings: Settings, progress: Progress) -> Found:
    """All families, alphas and seeds."""
    seeds = settings.seeds("families", settings.repetitions(SEEDS))
    tasks = [Task(family, low, seed) for family in FAMILIES for low in LOWS for seed in seeds]
    results = iter(spread(simulated, tasks, settings, progress, "policies over alpha"))
    ratios = {}
    for family in FAMILIES:
        for low in LOWS:
            columns = zip(*(next(results) for _ in seeds), strict=True)
            ratios.update(
                {(family, low, p): interval_of(list(column)) for p, column in zip(POLICIES, columns, strict=True)}
            )
    return Found(ratios, len(seeds))


def section(found: Found) -> Section:
    """A table and a chart for each family."""
    introduction = (
        f"Lengths from l to u = {HIGH}, all forecast [l, u], without prompts; M = {MEMORY:,} tokens, {FILLS} fills of "
        "it, all arriving at 0. In each family the weights are those that cost A_min most by its closed form, so other "
        "policies may have worse ones. Ratios of total latency to H-SF; below 1 is possible, because H-SF cannot evict."
    )
    return Section(
        "Policies over alpha",
        (introduction, _bounded(found), _order(found)),
        tuple(_grid(found, family) for family in FAMILIES),
        tuple(_chart(found, family) for family in FAMILIES),
    )


def _bounded(found: Found) -> str:
    share = max(
        ratio.mean / a_max_bound(low / HIGH)
        for (_, low, policy), ratio in found.ratios.items()
        if policy == POLICIES[0]
    )
    stands = "stands" if share <= 1 else "is broken"
    return f"A_max's bound (1 / alpha) (1 + 1 / alpha) / 2 {stands}: at most {100 * share:.0f} % of it is met here."


def _order(found: Found) -> str:
    """What the tables say about the order of eviction, the published one against the analysis, and A_ell."""

    def worst(policy: Policy, *families: str) -> float:
        return max(
            ratio.mean
            for (family, _, p), ratio in found.ratios.items()
            if p == policy and family in (families or FAMILIES)
        )

    ell, two, newest = Policy("a_ell"), FAMILIES[0], Policy("a_min")
    return (
        f"What stands: the analysed A_min, `a_min_randomized`, is {worst(RANDOMIZED):.2f} at most, and on two lengths "
        f"`a_ell` {worst(ell, two):.2f}. What does not: the analysis says nothing of the A_min that evict on overflow. "
        f"The published order reaches {worst(PUBLISHED):.2f} and `a_min`, with the newest of equals first, "
        f"{worst(newest):.2f}; with l = 1 the look-ahead is one round long. On other families `a_ell` reaches "
        f"{worst(ell):.2f}, and `two_point` follows it for alpha below 0.382."
    )


def _grid(found: Found, family: str) -> Grid:
    closed = ("A_min in closed form", *(f"{_closed(family, low):.3f}" for low in LOWS))
    rows = [(p.label, *(plus_minus(found.ratios[family, low, p]) for low in LOWS)) for p in POLICIES]
    headings = (f"{family}, {found.seeds} seeds", *(f"alpha = {low / HIGH:g}" for low in LOWS))
    return Grid(f"Ratios to H-SF: {family}", headings, (closed, *rows))


def _chart(found: Found, family: str) -> Chart:
    alphas = tuple(low / HIGH for low in LOWS)
    closed = Curve("A_min in closed form", alphas, tuple(_closed(family, low) for low in LOWS))
    curves = []
    for p in POLICIES:
        ratios = [found.ratios[family, low, p] for low in LOWS]
        low, high = (tuple(r.mean + sign * (r.half_width or 0.0) for r in ratios) for sign in (-1, 1))
        curves.append(Curve(p.label.replace("`", ""), alphas, tuple(r.mean for r in ratios), low, high))
    return Chart(
        f"Policies over alpha: {family}", "alpha", "total latency / H-SF's", (closed, *curves), log_x=True, log_y=True
    )


def _closed(family: str, low: int) -> float:
    return distribution_ratio(hardest(family, low, HIGH), low)

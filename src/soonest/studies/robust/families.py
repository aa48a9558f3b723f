"""Every policy over alpha, simulated, on the lengths that are hardest for A_min."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from soonest.report import interval as interval_of
from soonest.report.study import Chart, Curve, Grid, Section
from soonest.sim.forecasts import interval
from soonest.sim.theory import a_max_bound, distribution_ratio
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import curve, plus_minus
from soonest.studies.robust.lengths import FAMILIES, drawn, hardest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.report import Interval
    from soonest.studies.reproduction import Progress, Settings


class Policy(NamedTuple):
    """Words for the registry, and whether equal keys are drawn at random instead of the newest going first."""

    words: str
    ties: bool = False

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"`{self.words}` with random ties" if self.ties else f"`{self.words}`"


PUBLISHED: Final = Policy("a_min(stored, smallest)", ties=True)
NEWEST: Final = Policy("a_min")
ELL: Final = Policy("a_ell")
LEAST: Final = Policy("least_area")
RANDOMIZED: Final = Policy("a_min_randomized")
POLICIES: Final = (
    Policy("a_max"),
    PUBLISHED,
    Policy("a_min(live, smallest)", ties=True),
    Policy("a_min(stored, largest)", ties=True),
    NEWEST,
    ELL,
    Policy("two_point"),
    LEAST,
    RANDOMIZED,
)
"""One more policy is one more name here, and in those of the other parts."""
HIGH: Final = 20
LOWS: Final = (10, 7, 4, 2, 1)
MEMORY: Final = 2000
FILLS: Final = 240
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
        (introduction, _limit(found), _bounded(found)),
        tuple(_grid(found, family) for family in FAMILIES),
        tuple(_chart(found, family) for family in FAMILIES),
    )


def _limit(found: Found) -> str:
    gaps = [_gap(found, family, low) for family in FAMILIES for low in LOWS]
    return (
        f"The closed form is A_min's limit for large M and many fills. With {MEMORY / HIGH**2:g} u^2 and {FILLS} it "
        f"is approached: {RANDOMIZED.label}, which it describes, is {min(gaps):+.3f} to {max(gaps):+.3f} off."
    )


def _gap(found: Found, family: str, low: int) -> float:
    return found.ratios[family, low, RANDOMIZED].mean - _closed(family, low)


def _bounded(found: Found) -> str:
    share = max(
        ratio.mean / a_max_bound(low / HIGH)
        for (_, low, policy), ratio in found.ratios.items()
        if policy == POLICIES[0]
    )
    stands = "stands" if share <= 1 else "is broken"
    return f"A_max's bound (1 / alpha) (1 + 1 / alpha) / 2 {stands}: at most {100 * share:.0f} % of it is met here."


def stands(found: Found) -> str:
    """Whether A_max's bound does, and how far each policy goes."""
    first, *others = FAMILIES
    worst = [f"{p.label} {_worst(found, p, FAMILIES):.2f}" for p in (RANDOMIZED, PUBLISHED, NEWEST, LEAST)]
    return (
        f"Over alpha: {_bounded(found)} The worst ratios over all families and alpha are {', '.join(worst)}; that "
        f"of {ELL.label} is {_worst(found, ELL, [first]):.2f} on two lengths, else {_worst(found, ELL, others):.2f}."
    )


def _worst(found: Found, policy: Policy, families: Sequence[str]) -> float:
    return max(r.mean for (family, _, p), r in found.ratios.items() if p == policy and family in families)


def _grid(found: Found, family: str) -> Grid:
    closed = ("A_min in closed form", *(f"{_closed(family, low):.3f}" for low in LOWS))
    rows = [(p.label, *(plus_minus(found.ratios[family, low, p]) for low in LOWS)) for p in POLICIES]
    headings = (f"{family}, {found.seeds} seeds", *(f"alpha = {low / HIGH:g}" for low in LOWS))
    gaps = (f"{RANDOMIZED.label} less the closed form", *(f"{_gap(found, family, low):+.3f}" for low in LOWS))
    return Grid(f"Ratios to H-SF: {family}", headings, (closed, *rows, gaps))


def _chart(found: Found, family: str) -> Chart:
    alphas = tuple(low / HIGH for low in LOWS)
    closed = Curve("A_min in closed form", alphas, tuple(_closed(family, low) for low in LOWS))
    curves = [curve(p.label.replace("`", ""), alphas, [found.ratios[family, n, p] for n in LOWS]) for p in POLICIES]
    return Chart(
        f"Policies over alpha: {family}", "alpha", "total latency / H-SF's", (closed, *curves), log_x=True, log_y=True
    )


def _closed(family: str, low: int) -> float:
    return distribution_ratio(hardest(family, low, HIGH), low)

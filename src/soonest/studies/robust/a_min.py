"""The table of A_min's eviction orders: LMSYS-like requests under five kinds of forecasts, and two lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.report import interval as interval_of
from soonest.report.compare import student
from soonest.report.study import Grid, Section
from soonest.sim import beliefs
from soonest.sim.forecasts import interval
from soonest.studies.beyond.lengths import chats
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import Check, grid, plus_minus, verdict
from soonest.studies.robust.families import Policy
from soonest.studies.robust.lengths import LONGEST, MEMORY, drawn, two_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.report import Interval
    from soonest.studies.reproduction import Progress, Settings

STORED: Final = Policy("a_min(stored, smallest)", ties=True)
LIVE: Final = Policy("a_min(live, smallest)", ties=True)
LARGEST: Final = Policy("a_min(stored, largest)", ties=True)
A_MAX: Final = Policy("a_max")
POLICIES: Final = (
    STORED,
    LIVE,
    LARGEST,
    A_MAX,
    Policy("a_min(stored, smallest)"),
    Policy("a_min(live, smallest)"),
    Policy("a_min(stored, largest)"),
    Policy("a_min(live, largest)"),
    Policy("a_min_randomized"),
    Policy("a_ell"),
    Policy("two_point"),
    Policy("least_area"),
)
"""One more policy is one more row."""
SOURCES: Final = {
    f"interval(1,{LONGEST})": f"[1, {LONGEST}] for all",
    f"bins(10,{LONGEST})": "ten bins",
    "around(0.1)": "o(1 ± 0.1)",
    "around(0.5)": "o(1 ± 0.5)",
    "around(0.9)": "o(1 ± 0.9)",
}
ALPHAS: Final = (0.2, 0.1, 0.05)
EXPECTED: Final = {
    STORED: ((2.09, 1.067, 1.02, 1.17, 1.62), (1.413, 1.355, 1.256)),
    LIVE: ((2.72, 1.075, 1.00, 1.04, 1.06), (1.87, 2.22, 2.73)),
    LARGEST: ((2.05, 1.065, 0.993, 1.005, 1.10), (1.374, 1.327, 1.226)),
    A_MAX: ((16.96, 1.548, 1.06, 1.32, 1.59), ()),
}
"""By source and by alpha, as measured on a first implementation."""
CLOSE: Final = 0.05
REQUESTS: Final = 2000
SEEDS: Final = 40
LOW: Final = 4
TWO_MEMORY: Final = 4000
TWO_FILLS: Final = 30
TWO_SEEDS: Final = 5
SHARES: Final = (0.75, 0.83, 0.88, 0.92, 0.95, 0.97)
"""Of the short ones among two lengths; the worst is taken for each policy."""


class Task(NamedTuple):
    """Forecasts by the words of their source, or two lengths by their alpha, under every policy."""

    source: str | float
    share: float
    seed: int


class Ratio(NamedTuple):
    """Of one run to H-SF's: mean latency, p99 and the longest."""

    mean: float
    p99: float
    longest: float


class Found(NamedTuple):
    """Runs by source or alpha, then by policy; numbers of seeds for sources and for alphas, and of shares tried."""

    runs: Mapping[tuple[str | float, Policy], list[Ratio]]
    seeds: tuple[int, int]
    shares: int

    def ratio(self, source: str | float, policy: Policy) -> Interval:
        """Total latency over H-SF's."""
        return interval_of([run.mean for run in self.runs[source, policy]])


def simulated(task: Task) -> list[Ratio]:
    """Each policy's latencies over H-SF's."""
    from soonest.studies.robust.rounds import latencies  # noqa: PLC0415 - loads the compiler

    if isinstance(task.source, str):
        memory, work = MEMORY, chats(task.seed, REQUESTS)
        told = work.believing(beliefs(task.source, work.output_tokens))
    else:
        memory, high = TWO_MEMORY, round(LOW / task.source)
        work = drawn(two_point(LOW, high, task.share).tolist(), LOW, TWO_FILLS * memory // LOW, task.seed)
        told = work.believing(interval(work.output_tokens, LOW, high))
    hindsight = latencies(work, "a_min", memory, task.seed)
    return [_over(latencies(told, p.words, memory, task.seed, ties=p.ties), hindsight) for p in POLICIES]


def _over(mine: NDArray[np.float64], base: NDArray[np.float64]) -> Ratio:
    p99 = np.percentile(mine, 99) if np.isfinite(mine).all() else np.inf
    return Ratio(float(mine.sum() / base.sum()), float(p99 / np.percentile(base, 99)), float(mine.max() / base.max()))


def measure(settings: Settings, progress: Progress) -> Found:
    """The whole table."""
    seeds = settings.seeds("a_min", settings.repetitions(SEEDS))
    two = settings.seeds("two lengths", settings.repetitions(TWO_SEEDS))
    shares = SHARES[:: max(1, len(SHARES) // settings.repetitions(len(SHARES), least=3))]
    conditions: list[tuple[str | float, float, Sequence[int]]] = [(source, 0.0, seeds) for source in SOURCES]
    conditions += [(alpha, share, two) for alpha in ALPHAS for share in shares]
    tasks = [Task(source, share, seed) for source, share, several in conditions for seed in several]
    results = iter(spread(simulated, tasks, settings, progress, "the A_min table"))
    runs: dict[tuple[str | float, Policy], list[Ratio]] = {}
    for source, _, several in conditions:
        columns = zip(*(next(results) for _ in several), strict=True)
        for policy, column in zip(POLICIES, columns, strict=True):
            before = runs.get((source, policy))
            if before is None or _mean(column) > _mean(before):
                runs[source, policy] = list(column)
    return Found(runs, (len(seeds), len(two)), len(shares))


def _mean(runs: Sequence[Ratio]) -> float:
    return sum(run.mean for run in runs) / len(runs)


def checks(found: Found) -> list[Check]:
    """Every figure that is expected."""
    made = []
    for policy, (by_source, by_alpha) in EXPECTED.items():
        for (source, name), expected in zip(_columns(), (*by_source, *by_alpha), strict=False):
            ratio = found.ratio(source, policy)
            made.append(Check(f"{policy.label}, {name}", expected, ratio.mean, CLOSE, ratio.half_width))
    return made


def section(found: Found) -> Section:
    """The table, and what is expected beside what is found."""
    made = checks(found)
    several, two = found.seeds
    setting = (
        f"{REQUESTS:,} requests at once with log-normal lengths (answers: mean 85.3, median 45; prompts: mean 40.6, "
        f"median 11; both cut at {LONGEST:,} tokens), M = {MEMORY:,}, {several} seeds. Two lengths are {LOW} and "
        f"{LOW} / alpha, M = {TWO_MEMORY:,}, {TWO_FILLS} fills, {two} seeds, at the mixture that is worst for the "
        f"policy, of {found.shares}. Total latency over H-SF's, with 95 % confidence intervals."
    )
    return Section(
        "The A_min table",
        (setting, _ties(found), _who(found), f"{verdict('figures of the table', made)}{_noise(made, several)}"),
        (_table(found), _tails(found), grid("Expected and found", made, 3)),
    )


def _noise(made: Sequence[Check], seeds: int) -> str:
    """How far off the fallen are, in standard deviations of one workload."""
    widths = [(abs(c.difference), c.half_width) for c in made if not c.stands and c.half_width]
    if not widths:
        return ""
    most = max(off / (width * seeds**0.5 / student(seeds - 1)) for off, width in widths)
    return (
        f" None of these is farther off than {most:.1f} standard deviations of a single workload: with lengths this "
        "uneven, one draw of 2,000 requests differs from the next by more than is asked."
    )


def _ties(found: Found) -> str:
    source = next(iter(SOURCES))
    drawn_, newest = (found.ratio(source, policy) for policy in (STORED, Policy(STORED.words)))
    return (
        "Where all share one interval all keys are equal at first, so ties decide. Drawn at random, as in A_min's "
        f"pseudocode, the published order has {plus_minus(drawn_, 2)}; a policy here has no randomness, of equals the "
        f"newest goes first, and the same order has {plus_minus(newest, 2)}. An attempt taken at random has often run "
        "for longer, and its loss teaches more."
    )


def _who(found: Found) -> str:
    best = [f"{name}: {_least(found, source).label}" for source, name in _columns()]
    return f"The best of each column: {'; '.join(best)}."


def _least(found: Found, source: str | float) -> Policy:
    ratios = [_mean(found.runs[source, policy]) for policy in POLICIES]
    return POLICIES[ratios.index(min(ratios))]


def _columns() -> list[tuple[str | float, str]]:
    return [*SOURCES.items(), *((alpha, f"two lengths, alpha = {alpha:g}") for alpha in ALPHAS)]


def _table(found: Found) -> Grid:
    columns = _columns()
    rows: list[tuple[str, ...]] = []
    for policy in POLICIES:
        rows.append((policy.label, *(plus_minus(found.ratio(source, policy)) for source, _ in columns)))
        if policy in EXPECTED:
            by_source, by_alpha = EXPECTED[policy]
            rows.append(("expected", *map(str, (*by_source, *by_alpha)), *[""] * (len(ALPHAS) - len(by_alpha))))
    return Grid("Ratios to H-SF", ("", *(name for _, name in columns)), tuple(rows))


def _tails(found: Found) -> Grid:
    rows = tuple(
        (policy.label, *(_tail(found.runs[source, policy]) for source, _ in _columns())) for policy in POLICIES
    )
    headings = ("", *(name for _, name in _columns()))
    return Grid("p99 over H-SF's, and the longest latency over H-SF's: means of the seeds", headings, rows)


def _tail(runs: Sequence[Ratio]) -> str:
    p99, longest = (float(np.mean([getattr(run, name) for run in runs])) for name in ("p99", "longest"))
    return f"{p99:.2f}, {longest:.2f}" if np.isfinite(p99) else "never ends"

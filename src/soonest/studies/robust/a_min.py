"""The table of A_min's eviction orders: LMSYS-like requests under five kinds of forecasts, and two lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.report import interval as interval_of
from soonest.report.study import Grid, Section
from soonest.sim import beliefs
from soonest.sim.forecasts import interval
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import (
    Check,
    beside,
    by_order,
    compared,
    grid,
    least,
    listed,
    plus_minus,
    standing,
    verdict,
)
from soonest.studies.robust.families import Policy
from soonest.studies.robust.lengths import LONGEST, MEMORY, chats, drawn, two_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.report import Interval
    from soonest.studies.reproduction import Progress, Settings

STORED: Final = Policy("a_min(stored, smallest)", ties=True)
LIVE: Final = Policy("a_min(live, smallest)", ties=True)
LARGEST: Final = Policy("a_min(stored, largest)", ties=True)
A_MAX: Final = Policy("a_max")
ORDERS: Final = (
    STORED,
    LIVE,
    LARGEST,
    Policy("a_min(stored, smallest)"),
    Policy("a_min(live, smallest)"),
    Policy("a_min(stored, largest)"),
    Policy("a_min(live, largest)"),
)
"""Whom A_min evicts; the default of `a_min` is `stored`, largest first."""
LEAST_AREA: Final = Policy("least_area")
POLICIES: Final = (*ORDERS, A_MAX, Policy("a_min_randomized"), Policy("a_ell"), Policy("two_point"), LEAST_AREA)
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


class Kind(NamedTuple):
    """What an eviction costs, and whether the requests under `SOURCES` have prompts."""

    restart: bool = True
    prompts: bool = True

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"{'restart' if self.restart else 'recompute'}, {'prompts' if self.prompts else 'no prompts'}"


PAPERS: Final = Kind()


class Task(NamedTuple):
    """Forecasts by the words of their source, or two lengths by their alpha, under these policies."""

    source: str | float
    share: float
    seed: int
    kind: Kind = PAPERS
    policies: tuple[Policy, ...] = POLICIES


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

    def means(self, source: str | float, policy: Policy) -> list[float]:
        """Mean latency over H-SF's, seed by seed."""
        return [run.mean for run in self.runs[source, policy]]

    def ratio(self, source: str | float, policy: Policy) -> Interval:
        """Total latency over H-SF's."""
        return interval_of(self.means(source, policy))

    @property
    def policies(self) -> list[Policy]:
        """In the order of the table."""
        return list(dict.fromkeys(policy for _, policy in self.runs))

    @property
    def columns(self) -> dict[str | float, str]:
        """The name of each source and alpha."""
        return {
            source: SOURCES[source] if isinstance(source, str) else f"two lengths at alpha = {source:g}"
            for source in dict.fromkeys(source for source, _ in self.runs)
        }


def simulated(task: Task) -> list[Ratio]:
    """Each policy's latencies over H-SF's."""
    from soonest.studies.robust.rounds import latencies  # noqa: PLC0415 - loads the compiler

    if isinstance(task.source, str):
        memory, work = MEMORY, chats(task.seed, REQUESTS, prompts=task.kind.prompts)
        told = work.believing(beliefs(task.source, work.output_tokens))
    else:
        memory, high = TWO_MEMORY, round(LOW / task.source)
        work = drawn(two_point(LOW, high, task.share).tolist(), LOW, TWO_FILLS * memory // LOW, task.seed)
        told = work.believing(interval(work.output_tokens, LOW, high))
    hindsight, restart = latencies(work, "a_min", memory, task.seed), task.kind.restart
    return [
        _over(latencies(told, p.words, memory, task.seed, ties=p.ties, restart=restart), hindsight)
        for p in task.policies
    ]


def _over(mine: NDArray[np.float64], base: NDArray[np.float64]) -> Ratio:
    p99 = np.percentile(mine, 99) if np.isfinite(mine).all() else np.inf
    return Ratio(float(mine.sum() / base.sum()), float(p99 / np.percentile(base, 99)), float(mine.max() / base.max()))


def measure(
    settings: Settings,
    progress: Progress,
    kind: Kind = PAPERS,
    policies: tuple[Policy, ...] = POLICIES,
    *,
    alphas: Sequence[float] = ALPHAS,
) -> Found:
    """All sources, and two lengths at these alphas."""
    seeds = settings.seeds("a_min", settings.repetitions(SEEDS))
    two = settings.seeds("two lengths", settings.repetitions(TWO_SEEDS))
    shares = SHARES[:: max(1, len(SHARES) // settings.repetitions(len(SHARES), least=3))]
    conditions: list[tuple[str | float, float, Sequence[int]]] = [(source, 0.0, seeds) for source in SOURCES]
    conditions += [(alpha, share, two) for alpha in alphas for share in shares]
    tasks = [Task(source, share, seed, kind, policies) for source, share, several in conditions for seed in several]
    results = iter(spread(simulated, tasks, settings, progress, f"the A_min table: {kind.label}"))
    runs: dict[tuple[str | float, Policy], list[Ratio]] = {}
    for source, _, several in conditions:
        columns = zip(*(next(results) for _ in several), strict=True)
        for policy, column in zip(policies, columns, strict=True):
            before = runs.get((source, policy))
            if before is None or _mean(column) > _mean(before):
                runs[source, policy] = list(column)
    return Found(runs, (len(seeds), len(two)), len(shares))


def _mean(runs: Sequence[Ratio]) -> float:
    return sum(run.mean for run in runs) / len(runs)


def checks(found: Found) -> list[Check]:
    """Every figure that is expected."""
    return list(_expected(found).values())


def _expected(found: Found) -> dict[tuple[str | float, Policy], Check]:
    made = {}
    for policy, (by_source, by_alpha) in EXPECTED.items():
        for (source, name), expected in zip(found.columns.items(), (*by_source, *by_alpha), strict=False):
            ratio = found.ratio(source, policy)
            what = f"{policy.label}, {name}"
            made[source, policy] = Check(what, expected, ratio.mean, CLOSE, ratio.half_width)
    return made


def stands(found: Found) -> str:
    """How many figures of the table, and whether the published order is below A_max."""
    orders = {name: compared(found.means(s, STORED), found.means(s, A_MAX)) for s, name in found.columns.items()}
    low, high = (_extremes(found, policy) for policy in (STORED, A_MAX))
    return (
        f"All at once: {standing('figures of the A_min table', checks(found))} stand. The published {STORED.label} "
        f"has {low} times the total latency of H-SF and {A_MAX.label} {high} times; it is "
        f"{by_order(orders, beside(A_MAX.label, 'with'))}."
    )


def _extremes(found: Found, policy: Policy) -> str:
    means = [found.ratio(source, policy).mean for source in found.columns]
    return f"{min(means):.2f} to {max(means):.2f}"


def section(found: Found) -> Section:
    """The table, and what is expected beside what is found."""
    made = checks(found)
    text = setting(found), _ties(found), best(found), f"{verdict('figures of the table', made)}{_noise(found)}"
    tables = table(found, "Total latency over H-SF's"), tails(found), grid("Expected and found", made, 3)
    return Section("The A_min table", text, tables)


def setting(found: Found) -> str:
    """What is simulated."""
    several, two = found.seeds
    lengths = (
        f"{REQUESTS:,} requests at once with log-normal lengths (answers: mean 85.3, median 45; prompts: mean 40.6, "
        f"median 11; both cut at {LONGEST:,} tokens), M = {MEMORY:,}, {several} seeds. Intervals are of 95 %."
    )
    if all(isinstance(source, str) for source in found.columns):
        return lengths
    mixtures = (
        f" Two lengths are {LOW} and {LOW} / alpha, without prompts, M = {TWO_MEMORY:,}, {TWO_FILLS} fills, {two} "
        f"seeds, at the mixture that is worst for the policy, of {found.shares}."
    )
    return f"{lengths}{mixtures}"


def _noise(found: Found) -> str:
    """How far off the fallen are, in standard deviations of one workload."""
    fallen = []
    for (source, policy), check in _expected(found).items():
        one = float(np.std(found.means(source, policy), ddof=1))
        if one > 0 and not check.stands:
            fallen.append(abs(check.difference) / one)
    if not fallen:
        return ""
    return f" None of these is farther off than {max(fallen):.1f} standard deviations of a single workload."


def _ties(found: Found) -> str:
    source = next(iter(SOURCES))
    drawn_, newest = (found.ratio(source, policy) for policy in (STORED, Policy(STORED.words)))
    return (
        "Where all share one interval all keys are equal at first, so ties decide. Drawn at random, as in A_min's "
        f"pseudocode, the published order has {plus_minus(drawn_, 2)}; a policy here has no randomness, of equals the "
        f"newest goes first, and the same order has {plus_minus(newest, 2)}."
    )


def best(found: Found) -> str:
    """Who has the least in each column, with everyone who is not told apart from it."""
    columns = []
    for source, name in found.columns.items():
        policies = least({policy: found.means(source, policy) for policy in found.policies})
        columns.append(f"{name}: {listed(policy.label for policy in policies)}")
    return f"Least in each column, with all whose paired difference from it may be 0: {'; '.join(columns)}."


def table(found: Found, caption: str) -> Grid:
    """Every policy in every column."""
    rows = tuple((p.label, *(plus_minus(found.ratio(source, p)) for source in found.columns)) for p in found.policies)
    return Grid(caption, ("", *found.columns.values()), rows)


def tails(found: Found, condition: str = "") -> Grid:
    """p99 and the longest latency, to be read beside the means."""
    rows = tuple((p.label, *(_tail(found.runs[source, p]) for source in found.columns)) for p in found.policies)
    caption = f"p99 over H-SF's, and the longest latency over H-SF's: means of the seeds{condition}"
    return Grid(caption, ("", *found.columns.values()), rows)


def _tail(runs: Sequence[Ratio]) -> str:
    p99, longest = (float(np.mean([getattr(run, name) for run in runs])) for name in ("p99", "longest"))
    return f"{p99:.2f}, {longest:.2f}" if np.isfinite(p99) else "never ends"

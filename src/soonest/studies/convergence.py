"""Simulated ratios to hindsight, to set beside the closed forms of the theory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soonest.core import Rules
from soonest.report import interval as interval_of
from soonest.sim import Options, Workload, simulate
from soonest.sim.forecasts import interval, oracle
from soonest.sim.theory import a_ell_mixture, distribution_ratio


@dataclass(frozen=True)
class Case:
    """A length distribution on low..high: `weights[k]` is the share of length low + k."""

    name: str
    policy: str
    low: int
    weights: tuple[float, ...]
    expected: float

    @property
    def high(self) -> int:
        """The longest length."""
        return self.low + len(self.weights) - 1

    def ratio(self, memory: int, jobs: int, seed: int) -> float:
        """One simulated ratio to H-SF."""
        generator = np.random.default_rng(seed)
        lengths = generator.choice(np.arange(self.low, self.high + 1), jobs, p=self.weights)
        zero = np.zeros(jobs, dtype=np.int64)
        work = Workload(zero.astype(np.float64), zero, lengths, interval(lengths, self.low, self.high))
        options = Options(Rules.paper(memory), seed=seed)
        hindsight = simulate(work.believing(oracle(lengths)), "a_min", options, backend="kernel")
        return simulate(work, self.policy, options, backend="kernel").total_latency / hindsight.total_latency


def two_point(low: int, high: int, share: float) -> tuple[float, ...]:
    """Weights of two lengths, `share` of them low."""
    weights = [0.0] * (high - low + 1)
    weights[0], weights[-1] = share, 1 - share
    return tuple(weights)


def geometric(q: float, high: int) -> tuple[float, ...]:
    """Weights q^(k-1) (1 - q), what lies beyond `high` put there."""
    return (*((1 - q) * q ** (k - 1) for k in range(1, high)), q ** (high - 1))


def _two_points(policy: str, low: int, high: int, share: float) -> Case:
    weights = two_point(low, high, share)
    expected = distribution_ratio(np.array(weights), low) if policy != "a_ell" else a_ell_mixture(low, high, share)
    return Case(f"two-point {low},{high}", policy, low, weights, expected)


def _geometric(q: float, high: int) -> Case:
    weights = geometric(q, high)
    return Case(f"geometric up to {high}", "a_min_randomized", 1, weights, distribution_ratio(np.array(weights), 1))


CASES = [
    _two_points("a_min_randomized", 1, 4, 0.5),
    _two_points("a_min_randomized", 2, 8, 0.5),
    _two_points("a_min_randomized", 1, 10, 0.5),
    _two_points("a_ell", 1, 4, 0.8),
    _two_points("a_ell", 2, 8, 0.5),
    _two_points("a_ell", 1, 10, 0.9),
    _geometric(0.75, 20),
]


def sizes(case: Case, doublings: int) -> list[tuple[int, int]]:
    """(memory, jobs) from an eighth of what the closed forms ask for, 50 u^2 and 30 M/l, doubling both."""
    memory = 50 * case.high**2
    return [(memory * 2**d // 8, max(2000, 30 * memory // case.low * 2**d // 8)) for d in range(doublings)]


def measure(case: Case, doublings: int, seeds: int) -> list[dict[str, float]]:
    """The ratio and its gap to the closed form, at each size."""
    rows = []
    for memory, jobs in sizes(case, doublings):
        ratios = [case.ratio(memory, jobs, seed) for seed in range(seeds)]
        ratio = interval_of(ratios)
        rows.append(
            {
                "memory": memory,
                "jobs": jobs,
                "ratio": ratio.mean,
                "half_width": ratio.half_width or 0.0,
                "gap": ratio.mean - case.expected,
            }
        )
    return rows

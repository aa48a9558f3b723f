"""The lengths that both papers experiment with, and the hardest ones for A_min."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import Rules
from soonest.sim.theory import distribution_ratio
from soonest.studies.beyond.lengths import waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from soonest.sim import Workload

MEMORY: Final = 16_492
"""Tokens of KV cache in both papers' experiments."""
LONGEST: Final = 1000
"""Tokens of the longest answer of LMSYS-like requests."""
PATIENCE: Final = 100_000
"""Evictions of one request after which a policy is taken to be stuck."""
FAMILIES: Final = ("two-point", "geometric", "linearly weighted geometric", "worst case")
QUOTIENTS: Final = tuple(np.linspace(0.05, 0.999, 150).tolist())
SHARES: Final = tuple(np.linspace(0.01, 0.99, 99).tolist())


def rules(memory: int) -> Rules:
    """The theory papers', with patience."""
    return replace(Rules.paper(memory), max_evictions=PATIENCE)


def drawn(weights: Sequence[float], low: int, jobs: int, seed: int, prompt: int = 0) -> Workload:
    """Requests with one prompt and lengths low, low + 1, ... drawn with these weights."""
    generator = np.random.default_rng(seed)
    outputs = generator.choice(np.arange(low, low + len(weights)), jobs, p=weights)
    return waiting(outputs, np.full(jobs, prompt, dtype=np.int64))


def two_point(low: int, high: int, share: float) -> NDArray[np.float64]:
    """Weights of the lengths low..high: a `share` of `low`, the rest of `high`."""
    weights = np.zeros(high - low + 1)
    weights[0], weights[-1] = share, 1 - share
    return weights


def geometric(low: int, high: int, q: float, power: int = 0) -> NDArray[np.float64]:
    """Weights k^power q^k of the lengths k = low..high."""
    lengths = np.arange(low, high + 1, dtype=np.float64)
    weights = lengths**power * q ** (lengths - low)
    return np.asarray(weights / weights.sum())


def hardest(family: str, low: int, high: int) -> NDArray[np.float64]:
    """The weights on low..high of this family that cost A_min most, by its closed form.

    The worst case of all is the eigenvector of `worst`; it has no negative entry, so it is a distribution.
    """
    match family:
        case "two-point":
            tried = [two_point(low, high, share) for share in SHARES]
        case "geometric":
            tried = [geometric(low, high, q) for q in QUOTIENTS]
        case "linearly weighted geometric":
            tried = [geometric(low, high, q, power=1) for q in QUOTIENTS]
        case _:
            return worst(*pair_costs(np.arange(low, high + 1)))[1]
    return max(tried, key=lambda weights: distribution_ratio(weights, low))


def pair_costs(lengths: ArrayLike, prompt: float = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pair costs (A, B) of A_min and H-SF for some lengths behind prompts of s tokens (derived).

    With l the shortest, m the smaller and x the larger length, B = m (s + m) and
    A = B - m (s + m)^2 / (2 (s + x)) + x (s + m) / 2. An attempt at estimate z costs a request of length o the area
    o (s + z), in the mean over the draws that end it, and the estimate at which it succeeds is z <= o with density
    1 / (s + o), but for the share (s + l) / (s + o) of successes at l. The pair's cost is what each has spent before
    the other ends.
    """
    column = np.asarray(lengths, dtype=np.float64)
    small, large = np.minimum.outer(column, column), np.maximum.outer(column, column)
    base = small * (prompt + small)
    cost = base - base * (prompt + small) / (2 * (prompt + large)) + large * (prompt + small) / 2
    return cost, base


def worst(cost: NDArray[np.float64], base: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """The largest ratio w'Aw / w'Bw of any weights w, and those weights: a generalised eigenvector."""
    factor = np.linalg.cholesky(base)
    half = np.linalg.solve(factor, cost)
    values, vectors = np.linalg.eigh(np.linalg.solve(factor, half.T))
    weights = np.linalg.solve(factor.T, vectors[:, -1])
    weights = np.maximum(weights / weights.sum(), 0.0)
    return float(values[-1]), np.asarray(weights / weights.sum())

"""The workloads that both papers experiment with, and the hardest lengths for A_min."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import Rules
from soonest.sim import Workload
from soonest.sim.forecasts import oracle
from soonest.sim.theory import distribution_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MEMORY: Final = 16_492
"""Tokens of KV cache in both papers' experiments."""
LONGEST: Final = 1000
"""Tokens of the longest answer of LMSYS-like requests."""
PATIENCE: Final = 100_000
"""Evictions of one request after which a policy is taken to be stuck."""
FAMILIES: Final = ("two-point", "geometric", "linearly weighted geometric", "worst case")
PRECISE: Final = 1e-12
QUOTIENTS: Final = tuple(np.linspace(0.05, 0.999, 150).tolist())
SHARES: Final = tuple(np.linspace(0.01, 0.99, 99).tolist())


def rules(memory: int) -> Rules:
    """The theory papers', with patience."""
    return replace(Rules.paper(memory), max_evictions=PATIENCE)


def chats(seed: int, jobs: int, *, prompts: bool = True) -> Workload:
    """LMSYS-like, all waiting at 0: answers of mean 85.3 and median 45, prompts of mean 40.6 and median 11, or none."""
    generator = np.random.default_rng(seed)
    outputs, before = log_normal(generator, jobs, 85.3, 45), log_normal(generator, jobs, 40.6, 11)
    return waiting(outputs, before if prompts else np.zeros(jobs, dtype=np.int64))


def log_normal(generator: np.random.Generator, jobs: int, mean: float, median: float) -> NDArray[np.int64]:
    """Lengths of 1 to `LONGEST` tokens, of this mean and median before they are cut."""
    sigma = np.sqrt(2 * np.log(mean / median))
    uncut = median * np.exp(sigma * generator.standard_normal(jobs))
    lengths: NDArray[np.int64] = np.clip(np.rint(uncut), 1, LONGEST).astype(np.int64)
    return lengths


def geometrics(seed: int, jobs: int, mean: float) -> Workload:
    """Geometric lengths of this mean without prompts, all waiting at 0."""
    outputs = np.random.default_rng(seed).geometric(1 / mean, jobs).astype(np.int64)
    return waiting(outputs, np.zeros(jobs, dtype=np.int64))


def waiting(outputs: NDArray[np.int64], prompts: NDArray[np.int64]) -> Workload:
    """These requests, all waiting at 0, with their true lengths as forecasts."""
    return Workload(np.zeros(len(outputs)), prompts, outputs, oracle(outputs))


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

    The worst case of all is that of `worst`.
    """
    match family:
        case "two-point":
            tried = [two_point(low, high, share) for share in SHARES]
        case "geometric":
            tried = [geometric(low, high, q) for q in QUOTIENTS]
        case "linearly weighted geometric":
            tried = [geometric(low, high, q, power=1) for q in QUOTIENTS]
        case _:
            return worst(np.arange(low, high + 1))[1]
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


def worst(lengths: ArrayLike, prompt: float = 0) -> tuple[float, NDArray[np.float64]]:
    """The largest ratio w'Aw / w'Bw of any weights w of these lengths, in ascending order, and those weights.

    That is the largest generalised eigenvalue, found by power iteration; its vector has had no negative entry on any
    lengths tried, so it is a distribution. B y = z is solved by differences: B depends on the smaller length alone.
    """
    column = np.asarray(lengths, dtype=np.float64)
    cost, base = pair_costs(column, prompt)
    steps = np.diff(column * (prompt + column), prepend=0.0)
    weights, ratio, before = np.full(len(column), 1 / len(column)), 0.0, -1.0
    while abs(ratio - before) > PRECISE * ratio:
        tails = np.diff(cost @ weights, prepend=0.0) / steps
        weights = tails - np.append(tails[1:], 0.0)
        weights /= weights.sum()
        before, ratio = ratio, float(weights @ cost @ weights / (weights @ base @ weights))
    return ratio, weights

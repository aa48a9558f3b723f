"""The lengths that these studies run on, and how a figure is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from soonest.report import interval
from soonest.sim import Workload
from soonest.sim.forecasts import oracle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def log_normal(
    generator: np.random.Generator, jobs: int, mean: float, median: float, most: int = 1000
) -> NDArray[np.int64]:
    """Lengths of 1 to `most` tokens, of this mean and median before they are cut."""
    sigma = np.sqrt(2 * np.log(mean / median))
    drawn = median * np.exp(sigma * generator.standard_normal(jobs))
    lengths: NDArray[np.int64] = np.clip(np.rint(drawn), 1, most).astype(np.int64)
    return lengths


def chats(seed: int, jobs: int, *, prompts: bool = True) -> Workload:
    """LMSYS-like, all waiting at 0: answers of mean 85.3 and median 45, prompts of mean 40.6 and median 11, or none."""
    generator = np.random.default_rng(seed)
    outputs, before = log_normal(generator, jobs, 85.3, 45), log_normal(generator, jobs, 40.6, 11)
    return waiting(outputs, before if prompts else np.zeros(jobs, dtype=np.int64))


def geometric(seed: int, jobs: int, mean: float) -> Workload:
    """Geometric lengths without prompts, all waiting at 0."""
    outputs = np.random.default_rng(seed).geometric(1 / mean, jobs).astype(np.int64)
    return waiting(outputs, np.zeros(jobs, dtype=np.int64))


def waiting(outputs: NDArray[np.int64], prompts: NDArray[np.int64]) -> Workload:
    """These requests, all waiting at 0, with their true lengths as forecasts."""
    return Workload(np.zeros(len(outputs)), prompts, outputs, oracle(outputs))


def spread_of(values: Sequence[float]) -> str:
    """Mean and half-width of the 95 % interval."""
    found = interval(values)
    return f"{found.mean:.3f}" if found.half_width is None else f"{found.mean:.3f} ± {found.half_width:.3f}"

"""Repetitions: how sure is a mean, and how sure is a difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import SoonestError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NORMAL = 1.959964
_STUDENT = (  # 97.5 % quantiles for 1 to 30 degrees of freedom
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
    2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the half-width of its 95 % confidence interval; `None` is unknown, which one repetition leaves it."""

    mean: float
    half_width: float | None


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: a table up to 30 degrees of freedom, then Cornish and Fisher's expansion.

    The expansion starts at the normal quantile and is right to four digits.

    Raises:
        SoonestError: fewer than one degree of freedom.
    """
    if freedom < 1:
        raise SoonestError(f"Student's t needs at least 1 degree of freedom, got {freedom}")
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z = _NORMAL
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def interval(values: Sequence[float]) -> Interval:
    """Mean of a measure over independent repetitions, with its 95 % confidence interval (Student's t).

    Raises:
        SoonestError: there is no repetition.
    """
    if not len(values):
        raise SoonestError("an interval needs at least one repetition")
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if len(sample) == 1 or not math.isfinite(mean):
        return Interval(mean, None)
    return Interval(mean, student(len(sample) - 1) * float(sample.std(ddof=1)) / math.sqrt(len(sample)))


def paired_gain(values: Sequence[float], baseline: Sequence[float]) -> Interval:
    """How much smaller a measure is than the baseline's, in per cent: 100 (1 - x / baseline), repetition by repetition.

    Both sequences hold the same repetitions in the same order (same seeds, same arrivals), so what they share cancels.

    Raises:
        SoonestError: the numbers of repetitions differ, or there is none.
    """
    if len(values) != len(baseline):
        raise SoonestError(
            f"a paired gain needs the same repetitions on both sides, got {len(values)} and {len(baseline)}"
        )
    return interval([100 * (1 - x / base) if base > 0 else math.nan for x, base in zip(values, baseline, strict=True)])

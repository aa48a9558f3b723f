"""What the theory says, computed in a second way: every figure beside its closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.report.study import Chart, Curve, Section
from soonest.sim.theory import (
    ADAPTIVE_THRESHOLD,
    ADAPTIVE_WORST,
    GEOMETRIC_LIMIT,
    LINEAR_GEOMETRIC_LIMIT,
    a_ell_mixture,
    a_ell_ratio,
    a_max_bound,
    distribution_ratio,
    geometric_ratio,
    linear_geometric_ratio,
    two_point_ratio,
    worst_ratio_fit,
)
from soonest.studies.robust.checks import Check, grid, standing, verdict
from soonest.studies.robust.lengths import FAMILIES, hardest, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FINE: Final = 1000
"""Tokens of the longest length where lengths should be fine-grained."""
CLOSE: Final = 0.001
WORST: Final = {0.5: 1.275, 0.1: 1.744, 0.05: 1.929, 0.01: 2.348, 0.005: 2.525}
"""A_min's worst ratio over alpha, as published by this project's analysis."""
PROMOTED: Final = {0.5: 1.5, 1 / 3: 1.25, 0.2: 1.125, 0.1: 1.056, 0.05: 1.026}
"""A_ell's on two lengths."""
COARSE: Final = 200
"""The same where that suffices."""
ENDLESS: Final = 1e8
"""Prompt tokens over the longest answer's that are as good as infinitely many."""
INTRODUCTION: Final = (
    "Ratios of total latency to H-SF (shortest first with the true lengths, look-ahead, no eviction) as memory and the "
    "number of requests grow, all arriving at 0. A pair of lengths costs A_min A and H-SF B; a distribution's ratio is "
    "w'Aw / w'Bw, and the worst one is their largest generalised eigenvalue. The column `found` is computed from the "
    "pair costs (for A_ell from its two phases), not from the closed form."
)


def checks() -> list[Check]:
    """Every closed form with a number."""
    return [*_two_points(), *_geometric(), *_worst(), *_promoted(), *_adaptive(), *_prompts()]


def _two_points() -> list[Check]:
    return [
        Check(f"A_min, two lengths, alpha = {alpha:g}: (3 - alpha) / 2", (3 - alpha) / 2, _pair(alpha), CLOSE)
        for alpha in (0.5, 0.2, 0.1, 0.05, 0.001)
    ]


def _geometric() -> list[Check]:
    return [
        Check("A_min, geometric lengths: 10 - 12 ln 2", GEOMETRIC_LIMIT, geometric_ratio(0.9999), CLOSE),
        Check(
            "A_min, linearly weighted geometric: 14 / 9", LINEAR_GEOMETRIC_LIMIT, linear_geometric_ratio(0.9999), CLOSE
        ),
    ]


def _worst() -> list[Check]:
    return [Check(f"A_min, worst case, alpha = {a:g}", ratio, _fine(a), CLOSE) for a, ratio in WORST.items()]


def _promoted() -> list[Check]:
    given = [
        Check(f"A_ell, two lengths, alpha = {alpha:.3g}", ratio, _two_phases(alpha), CLOSE)
        for alpha, ratio in PROMOTED.items()
    ]
    above = [
        Check(f"A_ell, two lengths, alpha = {alpha:g}: 1 + 2 alpha^2", a_ell_ratio(alpha), _two_phases(alpha), CLOSE)
        for alpha in (0.6, 0.8)
    ]
    return given + above


def _adaptive() -> list[Check]:
    low, high = 0.1, 0.5
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _two_phases(middle) < _pair(middle) else (low, middle)
    return [
        Check("adaptive rule: A_ell below alpha = (3 - sqrt 5) / 2", ADAPTIVE_THRESHOLD, low, CLOSE),
        Check("adaptive rule: its worst ratio (3 + sqrt 5) / 4", ADAPTIVE_WORST, _pair(low), CLOSE),
    ]


def _prompts() -> list[Check]:
    return [
        Check(
            f"A_min, endless prompts, alpha = {alpha:g}: (1 + alpha^-1/2) / 2",
            (1 + alpha**-0.5) / 2,
            worst(np.arange(round(COARSE * alpha), COARSE + 1), COARSE * ENDLESS)[0],
            CLOSE,
        )
        for alpha in (0.5, 0.1, 0.05)
    ]


def _pair(alpha: float) -> float:
    """A_min's worst mixture of two lengths: the largest eigenvalue of their pair costs."""
    return worst([alpha, 1.0])[0]


def _fine(alpha: float) -> float:
    """A_min's worst ratio on fine-grained lengths."""
    return worst(np.arange(round(FINE * alpha), FINE + 1))[0]


def _two_phases(alpha: float) -> float:
    """A_ell's worst mixture of two lengths, from the cost of its two phases."""
    low, high = round(1e6 * alpha), 10**6
    return max(a_ell_mixture(low, high, share) for share in np.linspace(0, 1, 4001).tolist())


def stands(found: Sequence[Check]) -> str:
    """How many figures of the theory."""
    return f"Closed forms: {standing('figures of the theory', found)} stand when computed in a second way."


def section(found: Sequence[Check]) -> Section:
    """Every closed form with what is computed, and curves over alpha."""
    growing = (
        "Prompts of s tokens move A_min's worst ratio towards (1 + alpha^-1/2) / 2 as s / u grows: up for small alpha, "
        f"but down for large, at alpha = 0.5 from {_fine(0.5):.3f} without prompts to {(1 + 0.5**-0.5) / 2:.3f}."
    )
    about = (
        f"1.20 + ln(1 / alpha) / 4 is an approximation: within {_fit_error():.3f} of the worst case for alpha from "
        "0.005 to 0.1."
    )
    return Section(
        "Closed forms",
        (INTRODUCTION, growing, about, verdict("figures of the theory", found)),
        (grid("Closed forms, computed", found),),
        (_over_alpha(), _over_prompts()),
    )


def _fit_error() -> float:
    return max(abs(worst_ratio_fit(a) - _fine(a)) for a in WORST if a <= 0.1)


def _over_alpha() -> Chart:
    alphas = [1 / k for k in range(1, 21)][::-1]
    longest = COARSE
    lows = [max(1, round(alpha * longest)) for alpha in alphas]
    curves = (
        Curve("A_min, worst case", _floats(alphas), _floats(worst(np.arange(low, longest + 1))[0] for low in lows)),
        *(Curve(f"A_min, {name}", _floats(alphas), _floats(map(_hard(name), alphas))) for name in FAMILIES[1:3]),
        Curve("A_min, two lengths", _floats(alphas), _floats(map(two_point_ratio, alphas))),
        Curve("A_ell, two lengths", _floats(alphas), _floats(map(a_ell_ratio, alphas))),
        Curve(
            "adaptive, two lengths", _floats(alphas), _floats(min(two_point_ratio(a), a_ell_ratio(a)) for a in alphas)
        ),
        Curve("A_max, bound", _floats(alphas), _floats(map(a_max_bound, alphas))),
    )
    return Chart("Ratios to H-SF in closed form", "alpha", "total latency / H-SF's", curves, log_x=True, log_y=True)


def _hard(family: str) -> Callable[[float], float]:
    """A_min's ratio on a family's hardest weights, over alpha."""

    def ratio(alpha: float) -> float:
        low = 10
        return distribution_ratio(hardest(family, low, round(low / alpha)), low)

    return ratio


def _over_prompts() -> Chart:
    sizes = [0.01 * 10 ** (k / 3) for k in range(19)]
    curves = []
    for alpha in (0.5, 0.2, 0.1, 0.05):
        lengths = np.arange(round(COARSE * alpha), COARSE + 1)
        ratios = _floats(worst(lengths, COARSE * size)[0] for size in sizes)
        curves.append(Curve(f"alpha = {alpha:g}", _floats(sizes), ratios))
    return Chart(
        "A_min's worst case with prompts", "prompt tokens s / longest answer u", "ratio", tuple(curves), log_x=True
    )


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)

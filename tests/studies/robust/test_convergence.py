"""Simulated ratios to hindsight converge to the closed forms."""

import numpy as np
import pytest

from soonest.sim.theory import a_ell_mixture, a_ell_ratio
from soonest.studies.robust.theory.convergence import CLOSE, cases, sizes

SMALL = [case for case in cases() if case.high <= 5]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.policy} {case.name}")
def test_the_ratio_converges_to_its_closed_form(case):
    first, *_, last = sizes(case)
    at_first, at_last = (np.mean([case.ratio(*size, seed) for seed in range(4)]) for size in (first, last))
    assert abs(at_last - case.expected) <= CLOSE / 2
    assert abs(at_last - case.expected) <= abs(at_first - case.expected) + CLOSE / 6


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.policy} {case.name}")
def test_the_largest_size_meets_the_conditions_of_the_analysis(case):
    memory, jobs = sizes(case)[-1]
    assert case.high <= 20
    assert memory >= 50 * (case.prompt + case.high) ** 2
    assert all(size.jobs >= 30 * size.memory // (case.prompt + case.low) for size in sizes(case))
    assert jobs * (case.prompt + case.low) >= 30 * memory


def test_a_ell_mixtures_peak_at_the_worst_ratio():
    for low, high in ((1, 4), (1, 10), (1, 2)):
        worst = max(a_ell_mixture(low, high, p) for p in np.linspace(0.001, 0.999, 999))
        assert worst == pytest.approx(a_ell_ratio(low / high), abs=1e-4)

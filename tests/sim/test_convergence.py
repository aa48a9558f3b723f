"""Simulated ratios to hindsight converge to the closed forms."""

import numpy as np
import pytest

from soonest.sim.theory import a_ell_mixture, a_ell_ratio
from soonest.studies.convergence import CASES, measure

CLOSE = 0.03


@pytest.mark.parametrize("case", CASES[:5], ids=lambda c: f"{c.policy} {c.name}")
def test_the_ratio_converges_to_its_closed_form(case):
    *_, before, last = measure(case, doublings=4, seeds=3)
    assert abs(before["gap"]) <= CLOSE
    assert abs(last["gap"]) <= CLOSE / 2


def test_a_ell_mixtures_peak_at_the_worst_ratio():
    for low, high in ((1, 4), (1, 10), (1, 2)):
        worst = max(a_ell_mixture(low, high, p) for p in np.linspace(0.001, 0.999, 999))
        assert worst == pytest.approx(a_ell_ratio(low / high), abs=1e-4)

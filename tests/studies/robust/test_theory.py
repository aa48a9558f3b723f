"""The figures of the theory, computed in a second way."""

import numpy as np
import pytest

from soonest.report.study import Section
from soonest.sim.theory import distribution_ratio, pair_matrices, worst_ratio
from soonest.studies.reproduction import Settings
from soonest.studies.robust.checks import Check, grid, verdict
from soonest.studies.robust.lengths import FAMILIES, geometric, hardest, pair_costs, worst
from soonest.studies.robust.theory import closed_forms, optimum


def test_every_closed_form_stands():
    found = closed_forms.checks()
    assert len(found) > 20
    assert [check for check in found if not check.stands] == []


def test_pair_costs_without_prompts_are_those_of_the_theory():
    for mine, theirs in zip(pair_costs(np.arange(3, 9)), pair_matrices(3, 8), strict=True):
        assert mine == pytest.approx(theirs)


def test_the_worst_weights_are_a_distribution_that_meets_the_worst_ratio():
    ratio, weights = worst(np.arange(2, 21))
    assert ratio == pytest.approx(worst_ratio(2, 20))
    assert weights.min() >= 0
    assert distribution_ratio(weights, 2) == pytest.approx(ratio, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_hardest_of_a_family_costs_no_more_than_the_worst_of_all(family):
    weights = hardest(family, 2, 20)
    assert weights.sum() == pytest.approx(1)
    assert distribution_ratio(geometric(2, 20, 0.8), 2) < worst_ratio(2, 20)
    assert 1 < distribution_ratio(weights, 2) <= worst_ratio(2, 20) + 1e-9


def test_a_figure_that_is_too_far_off_is_named_with_what_was_found():
    near, far = Check("near", 1.0, 1.04, 0.05), Check("far", 1.0, 1.06, 0.05, 0.01)
    said = verdict("figures", [near, far])
    assert said.startswith("1 of 2 figures stand, the farthest 0.04 off.")
    assert "far: 1.060 ± 0.010 instead of 1" in said
    assert [row[-1] for row in grid("", [near, far]).rows] == ["yes", "no"]


def test_hindsight_is_never_below_the_optimum(capfd):
    ratios = [optimum.against_optimum(seed)[1] for seed in range(12)]
    assert min(ratios) >= 1
    assert max(ratios) > 1
    assert capfd.readouterr().out == ""


def test_the_optimum_s_section_says_what_the_crowds_are_over_the_bound(monkeypatch):
    monkeypatch.setattr(optimum, "JOBS", 60_000)
    monkeypatch.setattr(optimum, "CROWDS", {5: (600, 0.61, 1.671)})
    found = optimum.measure(Settings(scale=0.05), lambda *_: None)
    made = optimum.checks(found)
    assert len(made) == 3
    assert max(abs(check.difference) for check in made) < 0.05
    assert isinstance(optimum.section(found), Section)

"""A fleet in one event loop gives what its replicas give one by one, an iteration at a time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import reference, reference_fleet
from tests.strategies import Case, cases

from soonest.sim import simulate
from soonest.sim.fleet import ROUTERS

PROFILE = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SPEEDS = st.sampled_from((1.0, 1.0, 0.5, 2.0, 0.3))
LEAP = ("admitted", "first_token", "finished", "evictions", "tokens_lost", "tokens_recomputed", "gap_counts")


@st.composite
def fleets(draw, most=3, **changes):
    """A simulation with tenants, on replicas that may differ in speed."""
    case = draw(cases(engines=1))
    n, engines = len(case.workload), draw(st.integers(1, most))
    tenants = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    work = replace(case.workload, tenant=np.array(["a", "b", *tenants][-n:]))
    speeds = draw(st.just(()) | st.tuples(*[SPEEDS] * engines))
    given = {name: draw(values) for name, values in changes.items()}
    return Case(work, case.policy, replace(case.options, engines=engines, speeds=speeds, **given))


def routed(case, router):
    """Prefix affinity needs two tenants."""
    work = case.workload
    if router == "prefix_affinity" and len(set(work.tenant)) == 1:
        work = replace(work, tenant=np.array([f"{i % 2}" for i in range(len(work))]))
    router = "power_of_two" if router == "prefix_affinity" and len(work) == 1 else router
    return Case(work, case.policy, replace(case.options, router=router))


@pytest.mark.parametrize("router", ROUTERS)
def test_a_fleet_is_its_replicas_one_by_one(router):
    @PROFILE
    @given(fleets())
    def check(case):
        case = routed(case, router)
        result, expected = simulate(*case), reference_fleet.run(*case)
        different = {
            name: (getattr(result, name), column)
            for name, column in expected.items()
            if not np.array_equal(getattr(result, name), column)
        }
        assert different == {}

    check()


@settings(PROFILE, max_examples=40)
@given(cases(engines=1), st.sampled_from(sorted(ROUTERS)))
def test_a_fleet_of_one_is_the_plain_simulator(case, router):
    blocks = tuple((i % 3,) for i in range(len(case.workload)))
    alone = replace(case.workload, blocks=blocks), case.policy, replace(case.options, router=router)
    plain, fleet = simulate(*case, backend="python"), simulate(*alone)
    for name in (*LEAP, "peak_blocks", "most_waiting", "iterations", "events"):
        assert np.array_equal(getattr(plain, name), getattr(fleet, name)), name
    assert fleet.engine.tolist() == [0] * len(case.workload)


@settings(PROFILE, max_examples=60)
@given(fleets(gateways=st.integers(1, 3)))
def test_engines_of_any_speed_behind_gateways_leap_together(case):
    result, expected = simulate(*case, backend="python"), reference.run(*case)
    different = {
        name: (getattr(result, name), getattr(expected, name))
        for name in (*LEAP, "peak_blocks", "iterations")
        if not np.array_equal(getattr(result, name), getattr(expected, name))
    }
    assert different == {}

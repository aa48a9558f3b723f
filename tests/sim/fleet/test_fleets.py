"""What holds of fleets: behind a router, with one queue, and behind gateways."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sim.fleet.test_against_reference import LEAP, fleets, routed

from soonest.core import Rules, SimulationError
from soonest.data import poisson, repeat, sample
from soonest.sim import NEVER, PRESETS, Options, StepTime, Workload, beliefs, saturation, simulate
from soonest.sim.fleet import ROUTERS

PROFILE = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
ENGINE = Options(Rules.vllm(8), PRESETS["h100-8b"])


def calls(n, load, **options):
    """Sample calls at a share of what a fleet sustains, and the fleet."""
    options = replace(ENGINE, **options)
    work = Workload.of(repeat(sample(), n))
    work = work.at(poisson(n, load * saturation(work, options), 1))
    return work.believing(beliefs("classes", work.output_tokens)), options


def mean_jct(work, options, order="fcfs"):
    result = simulate(work, order, options, backend="python")
    return float((result.finished - work.arrival_ps).mean() / 1e12)


@pytest.mark.parametrize("router", ROUTERS)
def test_every_request_ends_once_on_one_replica_and_not_before_its_cause(router):
    @PROFILE
    @given(fleets(most=5))
    def check(case):
        case = routed(case, router)
        result = simulate(*case)
        aborted = result.finished == NEVER
        assert (aborted == (result.evictions > case.options.rules.max_evictions)).all()
        assert len(result.engine) == len(case.workload)
        assert set(result.engine) <= set(range(case.options.engines))
        assert (case.workload.arrival_ps <= result.admitted).all()
        assert (result.admitted < result.first_token)[~aborted].all()
        assert (result.first_token <= result.finished)[~aborted].all()
        again = simulate(*case)
        assert all(np.array_equal(getattr(result, name), getattr(again, name)) for name in (*LEAP, "engine"))

    check()


@pytest.mark.parametrize("router", ROUTERS)
def test_where_a_request_goes_does_not_depend_on_what_comes_after_it(router):
    @PROFILE
    @given(fleets(most=4), st.integers(0, 12), st.floats(0.5, 20))
    def check(case, keep, later):
        case = routed(case, router)
        arrival = case.workload.arrival.copy()
        arrival[keep:] += later
        moved = simulate(case.workload.at(arrival), case.policy, case.options)
        assert simulate(*case).engine[:keep].tolist() == moved.engine[:keep].tolist()

    check()


@settings(PROFILE)
@given(st.integers(1, 6), st.integers(1, 40))
def test_a_burst_is_spread_evenly_by_whoever_counts(engines, n):
    work = Workload.of(repeat(sample(), n)).at(np.zeros(n))
    for router in ("round_robin", "least_requests"):
        result = simulate(work, "fcfs", replace(ENGINE, engines=engines, router=router), backend="python")
        counts = np.bincount(result.engine, minlength=engines)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("router", [None, "least_requests"])
def test_twice_as_fast_is_as_if_steps_took_half_the_time(router):
    step = StepTime(2_000_000, 20_000, 400, 10)
    work, options = calls(200, 0.9, engines=3, router=router, step_time=step)
    fast = simulate(work, "shortest", replace(options, speeds=(2.0, 2.0, 2.0)), backend="python")
    half = simulate(work, "shortest", replace(options, step_time=StepTime(1_000_000, 10_000, 200, 5)), backend="python")
    assert np.array_equal(fast.finished, half.finished)


def test_a_load_is_a_share_of_the_whole_fleet():
    one, four = (saturation(calls(500, 1, engines=n)[0], replace(ENGINE, engines=n)) for n in (1, 4))
    assert four == pytest.approx(4 * one, rel=0.03)
    slow = replace(ENGINE, engines=4, speeds=(1, 1, 0.5, 0.5))
    assert saturation(calls(500, 1)[0], slow) == pytest.approx(3 * one, rel=0.05)
    routed = replace(ENGINE, engines=4, router="random")
    assert saturation(calls(500, 1)[0], routed) == four  # whatever the router, the fleet sustains what it can


def test_who_looks_at_the_replicas_does_better_than_chance_and_one_queue_is_best():
    work, options = calls(1500, 0.9, engines=4)
    found = {name: mean_jct(work, replace(options, router=name)) for name in ("random", "power_of_two", None)}
    assert found[None] < found["power_of_two"] < found["random"]


def test_a_slow_replica_gets_less_from_who_looks_and_as_much_from_who_does_not():
    work, options = calls(1000, 0.9, engines=4, speeds=(0.5, 1.0, 1.0, 1.0))
    counts = {}
    for router in ("round_robin", "least_requests", "least_expected_tokens"):
        result = simulate(work, "fcfs", replace(options, router=router), backend="python")
        counts[router] = int((result.engine == 0).sum())
    assert counts["round_robin"] == 250
    assert max(counts["least_requests"], counts["least_expected_tokens"]) < 210


def test_a_prefix_kept_where_it_is_needed_saves_prefill():
    """Each replica keeps its own blocks: who is sent back to them hits, who is spread over the fleet does not."""
    work, options = calls(800, 0.7, engines=4)
    family = np.random.default_rng(0).integers(0, 40, len(work))
    blocks = tuple(tuple(range(8 * f, 8 * f + 8)) for f in family.tolist())
    work = replace(work, prompt_tokens=work.prompt_tokens + 2048, blocks=blocks, block_tokens=256)
    options = replace(options, prefix_blocks=100)
    assert mean_jct(work, replace(options, router="prefix_affinity")) < 0.98 * mean_jct(
        work, replace(options, router="power_of_two")
    )


@settings(PROFILE, max_examples=10)
@given(st.integers(1, 4), st.integers(1, 60))
def test_gateways_of_whom_one_alone_has_requests_are_one_queue(engines, n):
    """Where no two wait at once, it does not matter at whose gateway."""
    work = Workload.of(repeat(sample(), n)).at(np.arange(n) * 1000.0)
    alone, many = (
        simulate(work, "shortest", replace(ENGINE, engines=engines, gateways=g), backend="python") for g in (1, 3)
    )
    assert np.array_equal(alone.finished, many.finished)


def test_gateways_take_turns():
    """A slot, and a burst: the first of each gateway in turn, in its own order."""
    n = 60
    work = Workload.of(repeat(sample(), n)).at(np.zeros(n))
    options = replace(ENGINE, rules=Rules.none(), gateways=3)
    order = np.argsort(simulate(work, "shortest", options, backend="python").admitted)
    alone = np.argsort(simulate(work, "shortest", replace(options, gateways=1), backend="python").admitted)
    assert work.output_tokens[alone].tolist() == sorted(work.output_tokens.tolist())
    third = order[: n // 3 - 6]  # while all three have somebody to send
    for turn in range(3):
        mine = work.output_tokens[third[turn::3]]
        assert mine.tolist() == sorted(mine.tolist())


def test_more_gateways_order_worse():
    work, options = calls(1500, 1.2, engines=4)
    one, two, eight = (mean_jct(work, replace(options, gateways=g), "shortest") for g in (1, 2, 8))
    assert one < two < eight
    assert eight < mean_jct(work, options, "fcfs")


def test_forecasts_made_on_arrival_reach_the_router():
    class Told:
        latency = 0.0

        def __init__(self, beliefs):
            self.beliefs, self.heard = beliefs, []

        def asked(self, job):
            self.heard.append(("asked", job))
            return self.beliefs.table[self.beliefs.index[job]]

        def ended(self, job, tokens, censored):
            self.heard.append(("ended", job, tokens, censored))

        def running(self, generated):
            self.heard += [("running", job) for job in generated]

    work, options = calls(300, 0.9, engines=3, router="least_expected_tokens")
    told = Told(work.beliefs)
    live = simulate(work, "shortest", options, forecaster=told)
    plain = simulate(work, "shortest", options)
    assert np.array_equal(live.engine, plain.engine)
    assert np.array_equal(live.finished, plain.finished)
    assert [row[1] for row in told.heard if row[0] == "asked"] == list(range(300))
    assert len({row[1] for row in told.heard if row[0] == "ended"}) == 300
    assert any(row[0] == "running" for row in told.heard)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"router": "nearest"}, "no router 'nearest'; known: round_robin, random"),
        ({"engines": 3, "speeds": (1.0, 2.0)}, "one speed an engine: 3, got 2"),
        ({"speeds": (0.0,)}, "speeds must lie in"),
        ({"speeds": (float("nan"),)}, "speeds must lie in"),
        ({"gateways": 0}, "gateways must lie in"),
        ({"router": "random", "gateways": 2}, "give one of them"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(given, said):
    with pytest.raises(SimulationError, match=said):
        replace(ENGINE, **given)


def test_affinity_without_prefixes_is_refused():
    work = replace(Workload.of(sample().head(5)), tenant=np.array([""] * 5))
    with pytest.raises(SimulationError, match="block hashes"):
        simulate(work, "fcfs", replace(ENGINE, engines=2, router="prefix_affinity"))


@pytest.mark.parametrize(
    "given", [{"router": "random"}, {"gateways": 2}, {"speeds": (0.5,)}, {"engines": 2, "router": "random"}]
)
def test_the_kernel_refuses_fleets(given):
    work, options = calls(20, 0.9, **given)
    with pytest.raises(SimulationError, match="the kernel cannot run this"):
        simulate(work, "fcfs", options, backend="kernel")

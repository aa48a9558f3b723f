"""What holds of every simulation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.backends import BACKENDS, usable
from tests.strategies import POLICIES, cases, slot_rules, workloads

from soonest.core import Batching, Forecast, Need, Rules
from soonest.policies import policy
from soonest.sim import NEVER, Options, StepTime, simulate
from soonest.sim.workload import PICOSECONDS

PROFILE = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
COLUMNS = ("admitted", "first_token", "finished", "evictions", "tokens_lost", "tokens_recomputed", "gap_counts")
ROUND = int(PICOSECONDS)
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def check_on(backend, strategy, law, profile=PROFILE):
    """Look at what this backend makes of many cases; at those only that it takes."""

    @profile
    @given(strategy)
    def check(case):
        if usable(backend, case):
            law(case, simulate(*case, backend=backend))

    check()


def columns(result):
    return [getattr(result, name).tolist() for name in COLUMNS]


def exact(tokens):
    return st.just(Forecast.exact(tokens))


def unknown(tokens):
    return st.builds(Forecast.unknown, st.integers(tokens, 1000))


@each_backend
def test_every_job_ends_once_or_is_aborted_for_its_evictions(backend):
    def law(case, result):
        aborted = result.finished == NEVER
        assert (aborted == (result.evictions > case.options.rules.max_evictions)).all()
        assert (result.evictions <= case.options.rules.max_evictions + 1).all()
        assert (result.admitted != NEVER).all()

    check_on(backend, cases(), law)


@each_backend
def test_tokens_are_neither_made_nor_forgotten(backend):
    def law(case, result):
        rules, outputs = case.options.rules, case.workload.output_tokens
        never_evicted = result.evictions == 0
        assert (result.tokens_lost[never_evicted] == 0).all()
        assert (result.tokens_recomputed[never_evicted] == 0).all()
        assert (result.tokens_lost <= result.evictions * (outputs - 1)).all()
        assert (result.tokens_lost if not rules.restart else result.tokens_recomputed).sum() == 0
        if (result.finished != NEVER).all() and not rules.restart:
            assert result.gap_counts.sum() == (outputs - 1).sum()

    check_on(backend, cases(), law)


@each_backend
def test_memory_never_exceeds_its_blocks(backend):
    def law(case, result):
        blocks = case.options.rules.blocks
        assert blocks is None or result.peak_blocks <= blocks
        assert result.peak_memory == result.peak_blocks * case.options.rules.block_size

    check_on(backend, cases(), law)


@each_backend
def test_nothing_happens_before_its_cause(backend):
    def law(case, result):
        done = result.finished != NEVER
        assert (case.workload.arrival_ps <= result.admitted).all()
        assert (result.admitted < result.first_token)[done].all()
        assert (result.first_token <= result.finished)[done].all()
        tokens_take_time = (case.workload.output_tokens > 1) & done
        assert (result.first_token < result.finished)[tokens_take_time].all()

    check_on(backend, cases(), law)


@each_backend
def test_no_more_run_at_once_than_there_are_slots(backend):
    def law(case, result):
        slots, engines = case.options.rules.slots, case.options.engines
        if slots is None or result.evictions.any():
            return
        for moment in result.admitted:
            assert ((result.admitted <= moment) & (moment < result.finished)).sum() <= slots * engines

    check_on(backend, cases(), law)


@each_backend
def test_the_same_seed_gives_the_same_bytes(backend):
    def law(case, result):
        again = simulate(*case, backend=backend)
        assert columns(result) == columns(again)
        assert columns(result) == columns(simulate(*case, backend="python"))

    check_on(backend, cases(), law)


@each_backend
def test_nobody_waits_while_a_slot_is_free(backend):
    """With rounds of a second and arrivals on the second every moment is a boundary."""
    rules = st.builds(Rules, slots=st.integers(1, 4))
    jobs = workloads(arrivals=st.integers(0, 12).map(float))
    whole = cases(rules=rules, jobs=jobs, engines=2, steps=(StepTime.unit(),))

    def law(case, result):
        if result.evictions.any():
            return
        seats = case.options.rules.slots * case.options.engines
        arrival = case.workload.arrival_ps
        for moment in range(0, int(result.finished.max()), ROUND):
            waiting = ((arrival <= moment) & (moment < result.admitted)).sum()
            running = ((result.admitted <= moment) & (moment < result.finished)).sum()
            assert waiting == 0 or running == seats

    check_on(backend, whole, law)


@each_backend
@pytest.mark.parametrize("words", ["fcfs_reserve", "a_min", "a_max"])
def test_the_head_waits_only_while_the_peak_would_not_fit(words, backend):
    """With true forecasts and the theory's rounds every peak can be computed from when jobs started."""
    jobs = workloads(arrivals=st.integers(0, 6).map(float), beliefs=exact)

    @st.composite
    def theory(draw):
        workload = draw(jobs)
        need = int((workload.prompt_tokens + workload.output_tokens).max())
        return workload, policy(words), Options(rules=Rules.paper(need + draw(st.integers(0, 20))))

    def law(case, result):
        workload, _, options = case
        assert not result.evictions.any()
        start, end = (times // ROUND for times in (result.admitted, result.finished))
        arrival, prompt, output = (
            workload.arrival_ps // ROUND,
            workload.prompt_tokens,
            workload.output_tokens,
        )
        assert (end == start + output).all()
        first = arrival if words == "fcfs_reserve" else output

        def peak(these, begin):
            times = np.arange(begin.max() + 1, begin.max() + output.max() + 1)[:, None]
            held = np.where((begin < times) & (times <= begin + output[these]), prompt[these] + times - begin, 0)
            return held.sum(axis=1).max()

        for now in range(int(end.max())):
            waiting = np.flatnonzero((arrival <= now) & (now < start))
            running = np.flatnonzero((start <= now) & (now < end))
            if len(waiting):
                head = min(waiting, key=lambda i: (first[i], arrival[i], i))
                together = np.append(running, head)
                assert peak(together, np.append(start[running], now)) > options.rules.blocks

    check_on(backend, theory(), law)


@each_backend
def test_first_come_first_served_admits_in_arrival_order(backend):
    def law(_, result):
        assert (np.diff(result.admitted) >= 0).all()

    jobs = workloads()
    check_on(backend, cases(rules=slot_rules(), policies=("fcfs",), jobs=jobs), law)


@each_backend
@pytest.mark.parametrize("words", ["shortest", "response_ratio", "aging", "longest", "aging(response_ratio, rate=3)"])
def test_with_no_forecast_at_all_order_is_arrival_order(words, backend):
    def law(case, result):
        fcfs = case[0], policy("fcfs"), case[2]
        assert columns(result) == columns(simulate(*fcfs, backend=backend))

    jobs = workloads(beliefs=unknown)
    check_on(backend, cases(policies=(words,), jobs=jobs), law, settings(PROFILE, max_examples=40))


@pytest.mark.parametrize("words", ["gittins", "trail(1)"])
def test_with_no_forecast_at_all_nobody_takes_a_place(words):
    def law(case, result):
        assert columns(result) == columns(simulate(case.workload, policy("fcfs"), case.options))

    jobs = workloads(beliefs=unknown)
    slots = st.builds(Rules, slots=st.integers(1, 4), restart=st.booleans())
    check_on("python", cases(rules=slots, policies=(words,), jobs=jobs), law)


@each_backend
def test_no_order_beats_the_shortest_first_where_lengths_are_known_and_all_wait(backend):
    plain = tuple(words for words in POLICIES if not policy(words).needs)
    alone = st.just(Rules.none())
    jobs = workloads(arrivals=st.just(0.0), beliefs=exact)

    def law(case, result):
        best = simulate(case.workload, policy("shortest"), replace(case.options, overdue_after=None), backend=backend)
        assert best.finished.sum() <= result.finished.sum()

    steps = (StepTime.unit(), StepTime.ssjf(), StepTime(7))
    check_on(backend, cases(rules=alone, jobs=jobs, policies=plain, engines=1, steps=steps), law)


@each_backend
def test_where_nobody_waits_all_policies_are_one(backend):
    """Also those whose quanta are only a moment to look."""
    plain = tuple(words for words in POLICIES if not policy(words).needs or Need.DISPLACE in policy(words).needs)
    jobs = workloads(most=6).map(lambda w: w.at(np.arange(len(w)) * 1000.0))

    def law(case, result):
        assert columns(result) == columns(simulate(case.workload, policy("fcfs"), case.options, backend=backend))
        assert (result.admitted == case.workload.arrival_ps).all()

    dynamic = Rules.dynamic(slots=1)
    lone = cases(jobs=jobs, policies=plain).filter(lambda c: c.options.rules.batching is not Batching.DYNAMIC)
    check_on(backend, lone | cases(rules=st.just(dynamic), jobs=jobs, policies=plain), law)


@each_backend
def test_a_later_start_of_the_clock_changes_nothing(backend):
    """Policies see arrivals and now, and only their difference may matter."""

    def law(case, result):
        workload, kind, options = case
        later = simulate(workload.at(workload.arrival + 1024.0), kind, options, backend=backend)
        shift = 1024 * ROUND
        assert (later.finished - np.where(later.finished == NEVER, 0, shift)).tolist() == result.finished.tolist()

    jobs = workloads(arrivals=st.integers(0, 12).map(float))
    check_on(backend, cases(jobs=jobs, steps=(StepTime.unit(),), policies=("fcfs", "shortest", "a_min", "a_max")), law)

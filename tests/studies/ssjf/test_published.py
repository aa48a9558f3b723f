"""The authors' simulator: every fault by hand, and none of them is the project's own simulator."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Rules
from soonest.sim import Options, StepTime, Workload, simulate
from soonest.sim.forecasts import oracle
from soonest.studies.ssjf.published import SECOND, Batching, Faults, Jobs, Mode, Order, serve

ALONE = Mode(Batching.NONE)
NOTHING = Faults()


def seconds(arrival, service, forecast=None, believed=None):
    """Jobs whose unit of time is the second."""
    return Jobs(arrival, service, forecast or service, believed or service, second=1)


def test_with_everything_off_the_shortest_of_those_waiting_is_next():
    jobs = seconds([0, 1, 2, 3], [5, 4, 1, 2])
    assert serve(jobs, Order.ARRIVAL, ALONE, NOTHING) == [5, 9, 10, 12]
    assert serve(jobs, Order.TRUTH, ALONE, NOTHING) == [5, 12, 6, 8]
    assert serve(replace(jobs, forecast=[0, 1, 2, 1]), Order.FORECAST, ALONE, NOTHING) == [5, 9, 12, 11]


def test_a_dynamic_batch_runs_for_its_longest_member():
    jobs = seconds([0, 0, 0, 1], [1, 3, 2, 1])
    assert serve(jobs, Order.TRUTH, Mode(Batching.DYNAMIC, 2), NOTHING) == [2, 5, 2, 5]


def test_a_continuous_batch_is_joined_when_a_member_ends_and_only_then():
    jobs = seconds([0, 1, 2, 2], [4, 2, 5, 1])
    # 0 runs alone till 4 although 1 came at 1; then 3 and 1 by length; 2 follows the first of them to end
    assert serve(jobs, Order.TRUTH, Mode(Batching.CONTINUOUS, 2), NOTHING) == [4, 6, 10, 5]


def test_fcfs_waits_ten_seconds_for_a_batch_that_is_not_full_and_again_when_it_forms_anew():
    jobs = seconds([0, 3], [2, 5])
    waits = Faults(fcfs_waits=True)
    assert serve(jobs, Order.ARRIVAL, Mode(Batching.DYNAMIC, 3), waits) == [15, 15]  # starts at 10
    assert serve(jobs, Order.ARRIVAL, Mode(Batching.CONTINUOUS, 3), waits) == [12, 25]  # to 12, waits to 22, 3 s left
    assert serve(jobs, Order.ARRIVAL, Mode(Batching.CONTINUOUS, 2), waits) == [5, 18]  # full at 3
    assert serve(jobs, Order.TRUTH, Mode(Batching.CONTINUOUS, 3), waits) == [2, 8]  # the other orders never wait
    assert serve(jobs, Order.ARRIVAL, ALONE, waits) == [2, 8]  # one is a full batch


def test_the_last_job_is_dropped_if_all_before_it_ended_when_it_comes():
    drops = Faults(drops_last=True)
    late, busy = seconds([0, 9], [2, 1]), seconds([0, 1], [2, 1])
    assert serve(late, Order.TRUTH, ALONE, drops) == [2, None]
    assert serve(busy, Order.TRUTH, ALONE, drops) == [2, 3]
    assert serve(late, Order.ARRIVAL, ALONE, drops) == [2, 10]


def test_who_waited_over_a_hundred_seconds_goes_first():
    jobs = seconds([0, 1, 50, 60], [102, 90, 1, 1])
    assert serve(jobs, Order.TRUTH, ALONE, NOTHING)[1] == 194
    # at 102 job 1 has waited 101 s; then the others have waited over ten times their second
    assert serve(jobs, Order.TRUTH, ALONE, Faults(starvation=True)) == [102, 192, 193, 194]


def test_the_starvation_rule_may_read_the_truth():
    jobs = seconds([0, 1, 2], [50, 2, 40], forecast=[0, 1, 0], believed=[1, 30, 1])
    assert serve(jobs, Order.FORECAST, ALONE, NOTHING) == [50, 92, 90]
    rule = Faults(starvation=True)  # at 50 job 1 has waited 49 s: less than 10 x 30, more than 10 x 2
    assert serve(jobs, Order.FORECAST, ALONE, rule) == [50, 92, 90]
    assert serve(jobs, Order.FORECAST, ALONE, replace(rule, starvation_reads_truth=True)) == [50, 52, 92]


def test_waits_may_be_counted_from_before_the_arrival():
    jobs = seconds([0, 40, 44], [45, 4, 2])
    rule = Faults(starvation=True)
    assert serve(jobs, Order.TRUTH, ALONE, rule) == [45, 51, 47]
    # at 45 both count as having waited 45 s, over ten times 4: by waiting, so in the order of arrival
    assert serve(jobs, Order.TRUTH, ALONE, replace(rule, waits_miscounted=True)) == [45, 49, 51]


def test_the_running_may_lose_their_places():
    jobs = seconds([0, 0, 1, 1], [3, 10, 4, 5])
    mode = Mode(Batching.CONTINUOUS, 2)
    assert serve(jobs, Order.TRUTH, mode, NOTHING) == [3, 10, 7, 12]
    assert serve(jobs, Order.TRUTH, mode, Faults(preempts=True)) == [3, 14, 7, 8]


def test_the_first_of_a_burst_runs_alone_in_floating_point():
    mode, whole = Mode(Batching.DYNAMIC, 2), [SECOND, 2 * SECOND]
    burst = Jobs([1e-20, 3e-20], [1.0, 2.0], [0, 0], [1.0, 2.0], second=1.0)
    assert serve(burst, Order.TRUTH, mode, NOTHING) == [1.0, 3.0]
    assert serve(Jobs([0, 0], whole, [0, 0], whole), Order.TRUTH, mode, NOTHING) == [2 * SECOND, 2 * SECOND]


def test_published_is_every_switch():
    published = Faults.published()
    assert all(getattr(published, name) for name in Faults.names())
    assert not any(getattr(NOTHING, name) for name in Faults.names())


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 500), st.integers(0, 4)), min_size=1, max_size=30),
    st.sampled_from([Order.ARRIVAL, Order.TRUTH, Order.FORECAST]),
)
def test_with_everything_off_and_no_batching_it_is_the_simulator_to_the_picosecond(rows, order):
    arrival, tokens, classes = (np.array(column) for column in zip(*sorted(rows, key=lambda r: r[0]), strict=True))
    work = Workload(arrival.astype(np.float64), np.zeros(len(rows), np.int64), tokens, oracle(tokens))
    if order is Order.FORECAST:
        work = work.believing(oracle(classes + 1))
    service = (SECOND // 10 + SECOND // 50 * tokens).tolist()
    jobs = Jobs(work.arrival_ps.tolist(), service, classes.tolist(), service)
    policy = "fcfs" if order is Order.ARRIVAL else "shortest"
    result = simulate(work, policy, Options(Rules.none(), StepTime.ssjf()), backend="python")
    assert serve(jobs, order, ALONE, NOTHING) == result.finished.tolist()


@pytest.mark.parametrize("batching", Batching)
@pytest.mark.parametrize("order", Order)
def test_every_job_ends_once_and_none_before_its_service(batching, order):
    chance = np.random.default_rng(3)
    arrival = np.sort(chance.integers(0, 60, 80)).tolist()
    service, classes = chance.integers(1, 12, 80).tolist(), chance.integers(0, 5, 80).tolist()
    jobs = seconds(arrival, service, classes)
    for faults in (NOTHING, replace(Faults.published(), drops_last=False)):
        ended = serve(jobs, order, Mode(batching, 1 if batching is Batching.NONE else 4), faults)
        assert all(end >= came + took for end, came, took in zip(ended, arrival, service, strict=True))

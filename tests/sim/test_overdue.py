"""What the waiting bound guarantees, and from which load on it guarantees nothing."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from soonest.core import Rules
from soonest.data import poisson
from soonest.sim import Options, StepTime, Workload, simulate
from soonest.sim.forecasts import oracle

SERVICE = 1.0  # seconds of a mean answer of ten tokens, one slot


def traffic(n, load, seed=0):
    lengths = np.random.default_rng(seed).geometric(0.1, n)
    return Workload(poisson(n, load / SERVICE, seed + 1), np.zeros(n, dtype=int), lengths, oracle(lengths))


def run(work, policy="shortest", **bound):
    options = Options(Rules.none(), StepTime.linear(0.1), **bound)
    records = simulate(work, policy, options, backend="python").records
    return np.mean(records.finished - records.arrival), np.max(records.admitted - records.arrival)


def test_it_is_off_unless_set():
    work = traffic(500, 0.9)
    assert run(work) == run(work, overdue_every=2)
    assert Options().overdue_after is None


def test_a_long_request_gets_in_after_the_bound():
    # a long one arrives first behind a running one, and short ones keep coming, as fast as they are served
    lengths = np.array([10, 50, *[1] * 400])
    arrival = np.array([0.0, 0.05, *(0.1 * np.arange(400))])
    work = Workload(np.sort(arrival), np.zeros(402, dtype=int), lengths, oracle(lengths))
    assert run(work)[1] > 40
    assert run(work, overdue_after=5.0)[1] < 10


@pytest.mark.parametrize("seed", range(3))
def test_below_its_share_of_the_throughput_waiting_is_bounded(seed):
    work = traffic(4000, 0.8, seed)
    free, bounded = run(work), run(work, overdue_after=20.0)
    assert bounded[1] < free[1]
    assert bounded[1] < 20 + 8 * 10 * SERVICE  # the bound, and a lane of a few served once in eight admissions


def test_in_overload_the_worst_wait_grows_with_the_backlog():
    waits = [run(traffic(n, 1.2), overdue_after=30.0)[1] for n in (500, 1000, 2000, 4000)]
    assert all(longer > 1.5 * shorter for shorter, longer in pairwise(waits))


def test_a_share_keeps_most_of_the_gain_and_a_hard_deadline_none():
    work = traffic(4000, 1.2)
    fcfs = run(work, "fcfs")[0]
    gain = {every: 1 - run(work, overdue_after=30.0, overdue_every=every)[0] / fcfs for every in (1, 8)}
    best = 1 - run(work)[0] / fcfs
    assert gain[8] > best / 2
    assert gain[1] < 0.1


def test_every_policy_takes_the_bound():
    work = traffic(300, 1.1)
    for policy in ("fcfs", "longest", "response_ratio(shortest)", "aging(shortest)", "a_max"):
        assert run(work, policy, overdue_after=10.0, overdue_every=4)[0] > 0


def test_all_overdue_at_once_is_arrival_order():
    work = traffic(300, 1.1)
    assert run(work, overdue_after=0.0, overdue_every=1) == run(work, "fcfs")
    assert run(replace(work), overdue_after=1e9) == run(work)

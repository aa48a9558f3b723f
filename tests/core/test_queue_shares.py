"""What an overdue request and a tenant are promised: a share."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Entry, Forecast, Queue, Request
from soonest.core.queue import MAX_IDLE_CLASSES
from soonest.policies import policy

SHORTEST = policy("shortest")


def entry(number, arrival=0.0, tokens=1, **facts):
    return Entry(Request(str(number), arrival, 5, forecast=Forecast.exact(tokens), **facts), tokens)


def filled(entries, now=0.0, **options):
    queue = Queue(options.pop("policy", SHORTEST), **options)
    for one in entries:
        queue.push(one)
    queue.reorder(now)
    return queue


def drained(queue):
    return [int(queue.pop().request.id) for _ in range(len(queue))]


@given(
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 50)), min_size=1, max_size=40),
    st.lists(st.integers(0, 30), max_size=10),
)
def test_at_most_one_admission_in_so_many_is_by_the_overdue_lane(every, requests, times):
    queue = Queue(SHORTEST, overdue_after=5.0, overdue_every=every)
    entries = [entry(i, arrival / 10, tokens) for i, (arrival, tokens) in enumerate(requests)]
    for one in entries:
        queue.push(one)
    jumps = []
    for time in [*sorted(times), 45]:
        queue.reorder(float(time))
        for _ in range(len(queue) if time == 45 else 2):
            if queue.peek() is None:
                break
            by_rank = min(queue, key=lambda e: (e.estimate, e.request.arrival, e.sequence))
            jumps.append(queue.pop() is not by_rank)
    for start in range(len(jumps)):
        assert sum(jumps[start : start + every]) <= 1


@given(st.integers(1, 9), st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(0, 2))
def test_the_oldest_overdue_is_admitted_within_its_share(every, tokens, rate):
    """The k-th oldest overdue waits for at most k shares, however many better-ranked ones keep coming."""
    queue = filled([entry(i, i / 100, n) for i, n in enumerate(tokens)], overdue_after=1.0, overdue_every=every)
    admitted, number = {}, len(tokens)
    for count in range(1, every * len(tokens) + 1):
        for _ in range(rate):
            queue.push(entry(number, 9.5 + count, 1))
            number += 1
        queue.reorder(10.0 + count)
        if len(queue):
            admitted[int(queue.pop().request.id)] = count
    assert all(admitted[k] <= (k + 1) * every for k in range(len(tokens)))


def waits(policy, arrivals, **options):
    """One server at one token a second: how long each request waits and takes; `inf` who never came to its turn."""
    queue, now, done, left = Queue(policy, **options), 0.0, {}, sorted(arrivals, key=lambda e: e.request.arrival)
    horizon = left[-1].request.arrival
    while now <= horizon:
        while left and left[0].request.arrival <= now:
            queue.push(left.pop(0))
        queue.reorder(now)
        if (chosen := queue.peek()) is None:
            now = left[0].request.arrival
            continue
        queue.pop()
        now += chosen.estimate
        done[int(chosen.request.id)] = now - chosen.request.arrival
    return [done.get(i, math.inf) for i in range(len(arrivals))]


def test_waiting_is_bounded_while_the_lane_takes_in_less_than_its_share():
    """Short ones fill the server; a long one every 20 s (0.05 a second, below 1 in 8) would starve without the lane."""

    def calls():
        shorts = [entry(i, float(i), 1) for i in range(3000)]
        return [*shorts, *(entry(3000 + i, 20.0 * i, 2) for i in range(100))]

    bound, every = 500.0, 8
    unbounded = waits(SHORTEST, calls())[3000:]
    bounded = waits(SHORTEST, calls(), overdue_after=bound, overdue_every=every)[3000:]
    assert sum(w == math.inf for w in unbounded) > 90
    settled = bounded[:70]  # those that fall due before the end
    assert max(settled) <= bound + 2 * every
    assert min(settled[1:]) >= bound


def test_in_overload_the_share_keeps_the_gain_and_a_hard_bound_gives_it_away():
    """Load 1.5 of answers of 1 and 10 s; the mean over those who got their answer and those who waited to the end."""

    def mean(name, **options):
        calls = [entry(i, float(i) * 2, 1 if i % 4 else 9) for i in range(1200)]
        end = calls[-1].request.arrival
        times = waits(policy(name), calls, **options)
        return sum(min(t, end - c.request.arrival) for t, c in zip(times, calls, strict=True)) / len(calls)

    fcfs, free = mean("fcfs"), mean("shortest")
    share = mean("shortest", overdue_after=30.0)
    hard = mean("shortest", overdue_after=30.0, overdue_every=1)
    assert free < 0.8 * fcfs
    assert share < 0.85 * fcfs
    assert hard > 0.95 * fcfs


@given(
    st.lists(st.tuples(st.integers(1, 200), st.booleans()), min_size=2, max_size=60),
    st.floats(0.1, 10),
    st.floats(0.1, 10),
)
def test_two_backlogged_tenants_share_tokens_by_weight_within_one_request(requests, a, b):
    weights = {"a": a, "b": b}
    queue = filled(
        [entry(i, 0.0, tokens, tenant="ab"[right]) for i, (tokens, right) in enumerate(requests)], weights=weights
    )
    left = {t: sum(e.request.tenant == t for e in queue) for t in weights}
    served, largest = dict.fromkeys(weights, 0.0), dict.fromkeys(weights, 0.0)
    while all(left.values()):
        one = queue.pop()
        tenant, size = one.request.tenant, one.estimate / weights[one.request.tenant]
        left[tenant] -= 1
        served[tenant] += size
        largest[tenant] = max(largest[tenant], size)
        assert abs(served["a"] - served["b"]) <= max(largest.values()) + 1e-4


@pytest.mark.parametrize("evictions", [0, 1, 2, 5])
def test_an_evicted_answer_is_paid_for_once(evictions):
    queue = filled([entry(i, 0.0, 100 if i < 2 else 200, tenant="aabbbb"[i]) for i in range(6)], weights={})
    unlucky = queue.pop()
    for _ in range(evictions):
        queue.push(unlucky)
        queue.reorder(1.0)
        assert queue.pop() is unlucky  # refunded, it stands where it stood
    queue.finished(unlucky, 100)
    queue.reorder(2.0)
    assert [queue.pop().request.tenant for _ in range(4)] == list("babb")


def test_the_refund_of_an_eviction_comes_after_a_newcomers_floor():
    queue = filled(
        [entry(0, 0.0, 100, tenant="a"), *(entry(i, 0.5, 100, tenant="b") for i in range(1, 30))], weights={}
    )
    first = queue.pop()
    assert first.request.tenant == "a"
    for _ in range(20):  # b alone is served meanwhile, and what a did not ask for is not saved
        queue.pop()
    for one in (first, entry(40, 1.0, 100, tenant="a"), entry(41, 1.0, 100, tenant="a")):
        queue.push(one)
    queue.reorder(1.0)
    assert [queue.pop().request.tenant for _ in range(4)] == ["a", "a", "b", "a"]


def test_what_is_cancelled_after_an_eviction_leaves_no_account_behind():
    queue = filled([entry(0, 0.0, 100, tenant="a"), entry(1, 0.5, 100, tenant="a")], weights={})
    gone = queue.pop()
    queue.push(gone)
    queue.remove("0")
    queue.reorder(1.0)
    assert (queue._charges, queue._evicted) == ({}, [])
    assert queue.pop().request.id == "1"


def test_a_tenant_that_comes_back_has_saved_nothing_up():
    queue = filled([entry(i, 0.0, 10, tenant="a") for i in range(20)], weights={})
    for _ in range(10):
        queue.pop()
    for i in range(20, 30):
        queue.push(entry(i, 1.0, 10, tenant="b"))
    queue.reorder(1.0)
    assert [queue.pop().request.tenant for _ in range(7)] == ["b", "a", "b", "a", "b", "a", "b"]


def test_a_newcomer_starts_where_the_others_are_and_not_where_the_overdue_lane_is():
    heavy = [entry(i, 0.0, 100, tenant="heavy") for i in range(50)]
    light = [entry(50 + i, 9.0, 100, tenant="light") for i in range(50)]
    queue = filled([*heavy, *light], now=10.0, overdue_after=5.0, overdue_every=1, weights={})
    for _ in range(40):
        assert queue.pop().request.tenant == "heavy"
    queue.push(entry(200, 10.0, 100, tenant="new"))
    for i in range(10):
        queue.remove(str(40 + i))
    queue.reorder(10.0)
    assert "new" in {queue.pop().request.tenant for _ in range(3)}


def test_tenants_with_equal_shares_go_by_rank_and_not_by_name():
    one_each = [entry(i, 0.0, 50 - i, tenant=f"t{i:02}") for i in range(50)]
    assert drained(filled(one_each, weights={})) == list(reversed(range(50)))


def test_tenants_and_classes_that_went_away_do_not_pile_up():
    queue = Queue(SHORTEST, weights={})
    for i in range(5000):
        queue.push(entry(i, float(i), 3, tenant=f"t{i}", priority=i % 2))
        queue.reorder(float(i))
        queue.finished(queue.pop(), 3)
    assert sum(len(c._tenants) + len(c._spent) for c in queue._classes.values()) <= 4
    for i in range(5000, 8000):
        queue.push(entry(i, float(i), 3, priority=i))
        queue.reorder(float(i))
        queue.pop()
    assert len(queue._classes) <= MAX_IDLE_CLASSES + 2


def test_a_request_falls_due_at_the_bound_itself():
    for now, first in ((4.99, 1), (5.0, 0)):
        waiting = [entry(0, 1.0, 9), entry(1, 1.5, 2)]
        assert drained(filled(waiting, now=now, overdue_after=4.0, overdue_every=1))[0] == first


def test_due_is_when_an_empty_overdue_lane_gets_its_first():
    queue = filled([entry(0, 3.0), entry(1, 1.0)], now=2.0, overdue_after=4.0)
    assert queue.due == 5.0
    queue.reorder(5.0)
    assert queue.due == math.inf  # one is in the lane: nobody overtakes it
    queue.remove("1")
    assert queue.due == 7.0
    assert filled([entry(0)]).due == math.inf
    assert Queue(SHORTEST, overdue_after=1.0).due == math.inf

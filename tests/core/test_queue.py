"""What the waiting room promises, one promise a test."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Entry, Forecast, Policy, Queue, QueueError, Rank, Request
from soonest.core.queue.lanes import Lanes
from soonest.policies import BUILT_IN, policy

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


@pytest.mark.parametrize("name", [name for name in BUILT_IN if not policy(name).ranks_unknown])
@given(
    limits=st.lists(st.integers(1, 5000), min_size=1, max_size=12),
    seed=st.randoms(use_true_random=False),
    finished=st.integers(1, 900),
)
def test_all_unknown_with_different_limits_is_arrival_order(name, limits, seed, finished):
    requests = [
        Request(str(i), i // 2 / 4, 5, max_tokens=limit, forecast=Forecast.unknown(limit))
        for i, limit in enumerate(limits)
    ]
    entries = [Entry(r, limit, sequence=i) for i, (r, limit) in enumerate(zip(requests, limits, strict=True))]
    shuffled = seed.sample(entries, len(entries))
    for one in shuffled[::2]:  # some come back after an eviction
        one.attempts, one.estimate, one.generated = 1, one.estimate * 2, 3
    queue = filled(shuffled[: len(shuffled) // 2], policy=policy(name), now=1.0)
    queue.finished(entry("done"), finished)
    for one in shuffled[len(shuffled) // 2 :]:
        queue.push(one)
    queue.reorder(9.0)
    assert drained(queue) == list(range(len(entries)))


def test_an_unknown_head_ranks_as_the_mean_of_finished_answers():
    unknown = Entry(Request("1", 0.0, 5, forecast=Forecast.unknown(9)))
    queue = filled([entry(0, tokens=100), unknown, entry(2, tokens=150)])
    popped = [queue.pop() for _ in range(3)]
    assert popped[1] is unknown  # nothing finished yet: 128
    for one in reversed(popped):
        queue.put_back(one)
    queue.finished(entry("done"), 90)
    assert queue.peek().request.id == "0"  # frozen
    queue.reorder(1.0)
    assert drained(queue) == [1, 0, 2]


def test_an_unknown_head_ranks_as_a_fresh_request_after_an_eviction_too():
    class Punishes(Policy):
        def rank(self, entry):
            return Rank(1000.0 * entry.attempts + 100.0 * entry.generated + entry.estimate)

    evicted = Entry(Request("1", 0.0, 5, forecast=Forecast.unknown(9)), 900, generated=3, attempts=2)
    queue = filled([entry(0, tokens=127), evicted, entry(2, tokens=129)], policy=Punishes())
    assert drained(queue) == [0, 1, 2]


def test_a_policy_that_ranks_the_unknown_orders_them_as_any_others():
    class FewestTokens(Policy):
        ranks_unknown = True

        def rank(self, entry):
            return Rank(entry.generated)

    unknown = [Entry(Request(str(i), float(i), 5), generated=tokens) for i, tokens in enumerate((9, 4, 7, 4))]
    known = entry(4, tokens=1)
    known.generated = 5
    assert drained(filled([*unknown, known], policy=FewestTokens())) == [1, 3, 4, 2, 0]


def test_the_order_is_frozen_between_reorders():
    queue = filled([entry(0, tokens=5), entry(1, tokens=7)])
    queue.push(entry(2, tokens=1))
    queue.finished(entry("done"), 1)
    assert [queue.pop().request.id, queue.pop().request.id] == ["0", "1"]
    assert queue.peek() is None
    assert len(queue) == 1
    queue.reorder(0.0)
    assert queue.pop().request.id == "2"


def test_a_finished_answer_corrects_its_tenants_charge_only_at_the_next_reorder():
    a, b = entry(0, tokens=10, tenant="a"), entry(1, tokens=10, tenant="b")
    queue = filled([a, b, *(entry(i, tokens=10, tenant="ab"[i % 2]) for i in (2, 3))], weights={})
    queue.pop()
    queue.pop()
    queue.finished(a, 30)
    assert queue.peek().request.tenant == "a"
    queue.reorder(1.0)
    assert queue.peek().request.tenant == "b"


def test_ranks_of_different_slopes_cross_with_time():
    long, short = entry(0, arrival=0.0, tokens=100), entry(1, arrival=10.0, tokens=10)
    queue = filled([long, short], policy=policy("response_ratio"), now=10.5)
    assert queue.peek() is long  # 10.5/100 against 0.5/10
    queue.reorder(12.0)
    assert queue.peek() is short


def test_lower_priority_goes_first_whatever_the_rank():
    queue = filled([entry(0, tokens=1, priority=1), entry(1, tokens=9), entry(2, tokens=5, priority=-1)])
    assert drained(queue) == [2, 1, 0]


def test_equal_ranks_go_by_arrival_and_then_by_first_insertion():
    queue = filled([entry(0, 2.0), entry(1, 1.0), entry(2, 2.0)])
    back = queue.remove("0")
    queue.push(back)  # keeps its first insertion
    queue.reorder(3.0)
    assert drained(queue) == [1, 0, 2]


def test_a_put_back_restores_share_charge_and_place():
    entries = [entry(i, arrival=i / 8, tokens=(i * 7) % 11 + 1, tenant="xyz"[i % 3]) for i in range(30)]
    options = {"overdue_after": 1.0, "overdue_every": 3, "weights": {"x": 3.0, "y": 0.7}, "now": 3.0}
    expected = drained(filled(entries, **options))
    for one in entries:
        one.sequence = -1
    queue, seen = filled(entries, **options), []
    for depth in (1, 4, 2, 9, 1, 13):
        popped = [queue.pop() for _ in range(min(depth, len(queue)))]
        for one in reversed(popped):
            queue.put_back(one)
        seen.append(int(queue.pop().request.id))
    assert seen + drained(queue) == expected


def test_out_of_order_a_put_back_refunds_its_tenant_alone():
    queue = filled([entry(i, 0.0, 10, tenant="ab"[i % 2]) for i in range(6)], weights={})
    first, second = queue.pop(), queue.pop()
    queue.put_back(first)
    assert (first.request.tenant, second.request.tenant) == ("a", "b")
    assert [queue.pop().request.id for _ in range(3)] == ["0", "2", "3"]


def test_cancelling_many_costs_amortised_little(monkeypatch):
    """Counts the items that rebuilding a heap touches, and what the heaps hold that is dead."""
    touched = 0
    rebuild = Lanes._rebuild

    def counted(lanes):
        nonlocal touched
        touched += sum(map(len, lanes._heaps))
        rebuild(lanes)

    monkeypatch.setattr(Lanes, "_rebuild", counted)
    n, chance = 100_000, random.Random(1)  # noqa: S311 - no secret
    queue = filled([entry(i, chance.random(), chance.randint(1, 99)) for i in range(n)], overdue_after=1.0)
    order = chance.sample(range(n), n)
    waiting = queue._classes[0]
    lanes = waiting._tenants[""]
    for number in order:
        queue.remove(str(number))
        left = len(queue)
        assert sum(map(len, lanes._heaps)) <= 2 * left + 65
        assert len(waiting._arrivals) <= 2 * left + 64
    assert 0 < touched <= 4 * n
    assert queue.peek() is None


def test_a_cancelled_head_gives_way_to_the_next():
    queue = filled([entry(0, tokens=1), entry(1, tokens=2), entry(2, tokens=3)])
    assert queue.remove("0").request.id == "0"
    assert queue.peek().request.id == "1"
    queue.push(entry(3, tokens=1))
    queue.remove("3")  # not yet in the order
    assert drained(queue) == [1, 2]


def test_the_mean_is_that_of_finished_answers():
    queue = Queue(SHORTEST)
    assert queue.mean_tokens == 128
    queue.finished(entry(0), 10)
    queue.finished(entry(1), 20)
    assert queue.mean_tokens == 15


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"overdue_after": -1.0}, "overdue_after"),
        ({"overdue_after": math.nan}, "overdue_after"),
        ({"overdue_every": 0}, "overdue_every"),
        ({"weights": {"a": 0.0}}, "weights"),
        ({"weights": {"a": -1.0}}, "weights"),
        ({"weights": {"a": math.nan}}, "weights"),
        ({"weights": {"a": math.inf}}, "weights"),
    ],
)
def test_an_impossible_option_is_refused_by_name(options, word):
    with pytest.raises(QueueError, match=word):
        Queue(SHORTEST, **options)


def test_what_is_not_here_cannot_be_taken_and_nobody_waits_twice():
    queue = Queue(SHORTEST)
    assert queue.peek() is None
    with pytest.raises(QueueError, match="reorder"):
        queue.pop()
    with pytest.raises(QueueError, match="'7'"):
        queue.remove("7")
    one = entry(7)
    queue.push(one)
    with pytest.raises(QueueError, match="'7' already waits"):
        queue.push(one)
    with pytest.raises(QueueError, match="'7' already waits"):
        queue.put_back(one)
    with pytest.raises(QueueError, match="reorder"):
        queue.pop()
    assert "7" in queue
    assert list(queue) == [one]

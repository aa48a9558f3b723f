"""Between never giving way and always: the ends against what they are, the middle against its bound."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.strategies import slot_rules, workloads

from soonest.core import Batching, Entry, Forecast, PolicyError, Request, Rules
from soonest.policies import Trail, policy
from soonest.sim import Beliefs, Options, StepTime, Workload, simulate

COLUMNS = ("admitted", "first_token", "finished", "evictions")


def asked(forecast, generated=0, least=1, **facts):
    return Entry(Request("a", 0.0, 5, forecast=forecast), least, generated=generated, **facts)


def exact(tokens):
    return st.just(Forecast.exact(tokens))


@pytest.mark.parametrize(
    ("forecast", "generated", "left"),
    [
        (Forecast.exact(40), 0, 40),
        (Forecast.exact(40), 30, 10),
        (Forecast.exact(40), 45, 1),
        (Forecast.interval(0, 100), 0, 50),
        (Forecast.interval(0, 100), 60, 20),
        (Forecast.interval(50, 100), 20, 55),
    ],
)
def test_rank_is_the_mean_of_what_is_left(forecast, generated, left):
    assert Trail().rank(asked(forecast, generated)).base == pytest.approx(left, abs=0.5)


def test_it_gives_way_before_its_share_of_what_was_forecast():
    policy, forecast = Trail(0.25), Forecast.interval(0, 100)
    assert policy.yields(asked(forecast, 12))
    assert not policy.yields(asked(forecast, 13))
    assert not Trail(0).yields(asked(forecast, 0))
    assert not policy.yields(asked(Forecast.unknown(100), 0))


def test_on_overflow_who_gives_way_goes_first_and_of_those_the_longest():
    policy = Trail(0.5)
    young, younger, old = asked(Forecast.exact(50), 10), asked(Forecast.exact(90), 1), asked(Forecast.exact(400), 300)
    older = asked(Forecast.exact(400), 390)
    assert policy.keep(younger) < policy.keep(young) < policy.keep(old) < policy.keep(older)


def cases(**jobs):
    return st.tuples(workloads(**jobs), slot_rules().filter(lambda r: r.batching is not Batching.DYNAMIC))


@settings(max_examples=80, deadline=None)
@given(cases())
def test_never_giving_way_is_the_shortest_first(case):
    work, rules = case
    assume(all(told.tokens[0] >= 1 for told in work.beliefs.table))  # every answer has a token: no mean shifts
    results = [simulate(work, words, Options(rules, StepTime(7))) for words in ("trail(0)", "shortest")]
    for name in COLUMNS:
        assert np.array_equal(*(getattr(result, name) for result in results)), name


def by_hand(arrival, output, slots):
    """When each ends if every second those with the least left get a token; among equals who runs goes on."""
    left, ends, running, now = list(output), {}, [], 0
    while len(ends) < len(arrival):
        here = [i for i, a in enumerate(arrival) if a <= now and i not in ends]
        running = sorted(here, key=lambda i: (left[i], i not in running, i))[:slots]
        now += 1
        for i in running:
            left[i] -= 1
            if left[i] == 0:
                ends[i] = now
    return [ends[i] for i in range(len(arrival))]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 15)), min_size=1, max_size=10), st.integers(1, 3))
def test_always_giving_way_to_the_true_shortest_is_shortest_remaining_time(jobs, slots):
    arrival, output = zip(*sorted(jobs), strict=True)
    beliefs = Beliefs(tuple(map(Forecast.exact, output)), np.arange(len(jobs), dtype=np.int32))
    work = Workload(np.array(arrival, dtype=float), np.zeros(len(jobs), dtype=np.int64), np.array(output), beliefs)
    result = simulate(work, "trail(1)", Options(Rules(slots=slots, restart=False), StepTime.unit()))
    assert (result.finished / 1e12).tolist() == by_hand(arrival, output, slots)


class Heard(Trail):
    """Notes at how many tokens each attempt was lost."""

    def __init__(self, c):
        super().__init__(c)
        self.lost = []

    def evicted(self, entry):
        self.lost.append(entry.generated / entry.request.forecast.expected)
        return super().evicted(entry)


def test_in_between_nobody_gives_way_after_its_share():
    rng = np.random.default_rng(3)
    output = np.minimum(rng.geometric(0.05, 300), 100)
    beliefs = Beliefs(tuple(Forecast.exact(o) for o in output.tolist()), np.arange(300, dtype=np.int32))
    work = Workload(np.cumsum(rng.exponential(6, 300)), np.zeros(300, dtype=np.int64), output, beliefs)
    shares, means = {}, {}
    for c in (0.0, 0.2, 0.6, 1.0):
        heard = Heard(c)
        means[c] = simulate(work, heard, Options(Rules(slots=4, restart=False), StepTime.unit())).total_latency
        shares[c] = heard.lost
    assert all(share < c for c in shares for share in shares[c])
    assert [len(lost) > 0 for lost in shares.values()] == [False, True, True, True]
    assert means[1.0] < means[0.6] < means[0.2] < means[0.0]  # where giving way costs nothing


@pytest.mark.parametrize("c", [-0.1, 1.1, float("nan")])
def test_c_is_a_share(c):
    with pytest.raises(PolicyError, match="trail: c"):
        policy(f"trail({c})") if c == c else Trail(c)  # noqa: PLR0124 - nan has no word

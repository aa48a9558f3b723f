"""Routers by themselves: what each picks among replicas that are only looked at."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.sim.draws import ROUTE, draw, pick
from soonest.sim.fleet import ROUTERS
from soonest.sim.fleet.routers import SPREAD, Ask, prefix_affinity


@dataclass
class Replica:
    requests: int
    left: float
    held: int = 0

    def tokens(self, now):
        return self.left - now

    def shared(self, prefix):
        return min(self.held, len(prefix))


def ask(number=0, prefix=(1, 2, 3), seed=0):
    return Ask(number, 0, prefix, lambda k: draw(seed, number, k, ROUTE))


some = st.lists(st.builds(Replica, st.integers(0, 30), st.floats(0, 1e6), st.integers(0, 3)), min_size=1, max_size=9)


@pytest.mark.parametrize("name", ROUTERS)
@given(replicas=some, number=st.integers(0, 1000), seed=st.integers(0, 9))
def test_a_router_picks_one_of_the_replicas_and_the_same_one_again(name, replicas, number, seed):
    place = ROUTERS[name](replicas, ask(number, seed=seed))
    assert 0 <= place < len(replicas)
    assert place == ROUTERS[name](replicas, ask(number, seed=seed))


@pytest.mark.parametrize(("name", "key"), [("least_requests", "requests"), ("least_expected_tokens", "left")])
@given(replicas=some, order=st.randoms(use_true_random=False))
def test_the_least_loaded_is_picked_wherever_it_stands(name, key, replicas, order):
    order.shuffle(replicas)
    picked = replicas[ROUTERS[name](replicas, ask())]
    assert getattr(picked, key) == min(getattr(replica, key) for replica in replicas)


@pytest.mark.parametrize("name", [name for name in ROUTERS if name not in {"round_robin", "prefix_affinity"}])
def test_equal_replicas_get_equal_shares(name):
    replicas = [Replica(3, 70.0) for _ in range(4)]
    places = [ROUTERS[name](replicas, ask(number)) for number in range(4000)]
    assert all(abs(places.count(place) - 1000) < 150 for place in range(4))


@given(replicas=some, number=st.integers(0, 1000))
def test_of_those_with_the_fewest_requests_the_one_with_the_fewest_tokens_is_picked(replicas, number):
    picked = replicas[ROUTERS["least_requests_then_tokens"](replicas, ask(number))]
    assert (picked.requests, picked.left) == min((replica.requests, replica.left) for replica in replicas)


def test_round_robin_goes_round():
    assert [ROUTERS["round_robin"]([Replica(9, 9.0)] * 3, ask(n)) for n in range(7)] == [0, 1, 2, 0, 1, 2, 0]


@given(some.filter(lambda replicas: len(replicas) > 1), st.integers(0, 1000))
def test_of_two_the_one_with_fewer_requests_is_picked(replicas, number):
    place = ROUTERS["power_of_two"](replicas, ask(number))
    most = max(replica.requests for replica in replicas)
    if [replica.requests for replica in replicas].count(most) == 1:
        assert replicas[place].requests < most


def test_two_are_looked_at_and_every_pair_comes_up():
    """The last one is the least loaded: it is picked whenever it is one of the two, in half of the cases of four."""
    replicas = [Replica(3, 0.0), Replica(2, 0.0), Replica(1, 0.0), Replica(0, 0.0)]
    places = [ROUTERS["power_of_two"](replicas, ask(number)) for number in range(6000)]
    assert [round(places.count(place) / 1000) for place in range(4)] == [0, 1, 2, 3]


def test_a_prefix_goes_where_it_was_sent_unless_that_one_is_too_loaded():
    cold, warm, warmer = Replica(0, 0.0), Replica(4, 0.0, held=2), Replica(SPREAD, 0.0, held=3)
    assert prefix_affinity([cold, warm, warmer], ask()) == 2
    warmer.requests += 1
    places = {prefix_affinity([cold, warm, warmer], ask(number)) for number in range(50)}
    assert places == {0, 1}  # of two at random, the less loaded: never the one with the most


def test_of_equal_holders_the_less_loaded_is_picked():
    assert prefix_affinity([Replica(2, 0.0, held=3), Replica(1, 0.0, held=3), Replica(0, 0.0)], ask()) == 1


@pytest.mark.parametrize(("held", "sticks"), [(0, False), (1, False), (2, True)])
def test_too_short_a_beginning_is_none(held, sticks):
    replicas = [Replica(1, 0.0, held=held), Replica(0, 0.0)]
    places = {prefix_affinity(replicas, ask(number, prefix=range(20))) for number in range(50)}
    assert places == ({0} if sticks else {1})


@given(st.floats(min_value=0, max_value=1, exclude_min=True), st.integers(1, 1024))
def test_a_draw_stands_for_one_of_the_places(drawn, n):
    assert 0 <= pick(drawn, n) < n

"""What each built-in policy answers, as its table says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Entry, Forecast, Need, Policy, PolicyError, Rank, Request
from soonest.policies import BUILT_IN, Aging, AMin, ResponseRatio, Shortest, policy
from soonest.policies.two_point import THRESHOLD

ARRIVAL, EXPECTED, ESTIMATE, PROMPT = 7.0, 40.0, 30, 11
FORECAST = Forecast.interval(20, 60)
MEAN = (60 - ESTIMATE) / math.log(60 / ESTIMATE)
"""Of an answer of 30 to 60 tokens, log-uniform."""


def entry(**facts):
    facts = {"estimate": ESTIMATE, "expected": EXPECTED, "admitted": 5, **facts}
    return Entry(Request("a", ARRIVAL, PROMPT, forecast=FORECAST), **facts)


def test_the_table_has_every_policy():
    assert set(BUILT_IN) == {*RANKS, "response_ratio", "aging"}


RANKS = {
    "fcfs": Rank(ARRIVAL, -1.0),
    "fcfs_reserve": Rank(ARRIVAL, -1.0),
    "shortest": Rank(EXPECTED),
    "longest": Rank(-EXPECTED),
    "a_max": Rank(ESTIMATE),
    "a_min": Rank(ESTIMATE),
    "a_min_randomized": Rank(ESTIMATE),
    "a_ell": Rank(ESTIMATE),
    "least_area": Rank(PROMPT * MEAN + MEAN * (MEAN + 1) / 2),
    "two_point": Rank(ESTIMATE),
    "gittins": Rank((60 - 30) / 2 + 30),
    "trail": Rank(45),
    "mlfq": Rank(0),
    "deadline": Rank(ARRIVAL + 10, -1.0),
}
FIRST_ONE = {"gittins", "trail", "mlfq"}
FIRST_LOW = {"least_area", "a_min", "a_min_randomized", "a_ell", "two_point"}
ALLOCATE_NOW = {"fcfs", "shortest", "longest", "deadline", *FIRST_ONE}


@pytest.mark.parametrize("name", RANKS)
def test_rank_first_and_reserve(name):
    chosen = policy(name)
    assert chosen.rank(entry()) == RANKS[name]
    assert chosen.first(entry().request) == (1 if name in FIRST_ONE else 20 if name in FIRST_LOW else 60)
    assert chosen.reserve(entry()) == (None if name in ALLOCATE_NOW else ESTIMATE)


@pytest.mark.parametrize("name", ["fcfs", "fcfs_reserve", "shortest", "longest", "a_max", "a_ell", "deadline"])
def test_the_newest_admitted_goes_first(name):
    chosen = policy(name)
    assert chosen.keep(entry(admitted=6)) < chosen.keep(entry(admitted=5, estimate=999))


@pytest.mark.parametrize(
    ("words", "goes"),
    [
        ("a_min", "long"),
        ("a_min(stored, largest)", "long"),
        ("a_min(order=smallest)", "short"),
        ("a_min(live)", "grown"),
        ("a_min(live, smallest)", "short"),
    ],
)
def test_a_min_evicts_by_estimate_as_told(words, goes):
    running = {"short": entry(estimate=10), "long": entry(estimate=50), "grown": entry(estimate=12, generated=90)}
    chosen = policy(words)
    assert min(running, key=lambda name: chosen.keep(running[name])) == goes
    same = entry(admitted=1), entry(admitted=9)
    assert chosen.keep(same[0]) == chosen.keep(same[1])  # ties are the host's


@pytest.mark.parametrize(
    ("name", "generated", "estimate"),
    [
        ("fcfs", 25, 30),
        ("fcfs", 35, 35),
        ("a_min", 25, 30),
        ("a_min", 35, 35),
        ("a_max", 10, 30),
        ("a_max", 35, 70),
        ("fcfs_reserve", 35, 70),
        ("a_ell", 10, 60),
        ("a_ell", 65, 65),
        ("a_min_randomized", 35, 36),
        ("a_min_randomized", 10, 30),
        ("gittins", 10, 30),
        ("gittins", 35, 36),
        ("trail", 35, 36),
        ("mlfq", 35, 36),
        ("deadline", 35, 35),
    ],
)
def test_an_evicted_attempt_learns(name, generated, estimate):
    assert policy(name).evicted(entry(generated=generated)) == estimate


def test_a_ell_gives_the_first_attempt_its_estimate_and_no_other_a_quantum():
    chosen = policy("a_ell")
    assert chosen.quantum(entry(), 0.5) == ESTIMATE
    assert chosen.quantum(entry(attempts=1), 0.5) is None
    for name in ("fcfs", "fcfs_reserve", "shortest", "longest", "a_max", "a_min", "trail", "deadline"):
        assert policy(name).quantum(entry(), 0.5) is None


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 2000))
def test_a_randomized_attempt_survives_each_token_past_its_estimate_with_its_hazard(estimate, prompt, age):
    """P(quantum > age) = (s + e)/(s + age + 1): the product of 1 - 1/(s + t + 1) for t from e to age."""
    chosen = policy("a_min_randomized")
    asked = Entry(Request("a", 0.0, prompt), estimate)
    age += estimate
    share = (prompt + estimate) / (prompt + age + 1)
    assert share == pytest.approx(math.prod(1 - 1 / (prompt + t + 1) for t in range(estimate, age + 1)))
    assert chosen.quantum(asked, share * (1 - 1e-9)) > age
    assert chosen.quantum(asked, min(1.0, share * (1 + 1e-9))) <= max(age, estimate)
    assert chosen.quantum(asked, 1.0) == estimate
    assert chosen.holds


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("fcfs", set()),
        ("fcfs_reserve", set()),
        ("shortest", set()),
        ("longest", set()),
        ("a_max", set()),
        ("a_min", {Need.EVICT}),
        ("least_area", {Need.EVICT}),
        ("a_ell", {Need.QUANTUM}),
        ("two_point", {Need.EVICT, Need.QUANTUM}),
        ("a_min_randomized", {Need.EVICT, Need.QUANTUM, Need.RESTART}),
        ("gittins", {Need.DISPLACE, Need.QUANTUM}),
        ("trail", {Need.DISPLACE}),
        ("mlfq", {Need.DISPLACE, Need.QUANTUM}),
        ("deadline", set()),
        ("response_ratio(a_ell)", {Need.QUANTUM}),
        ("aging(trail)", {Need.DISPLACE}),
        ("aging(a_min)", {Need.EVICT}),
    ],
)
def test_each_says_what_it_needs(name, needs):
    assert policy(name).needs == needs


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_names_its_source(name):
    assert policy(name).source


def test_two_point_splits_at_0_382():
    chosen = policy("two_point")
    assert pytest.approx((3 - 5**0.5) / 2) == THRESHOLD
    assert chosen.row(Request("a", 0.0, 1, forecast=Forecast.interval(381, 1000))) == 0
    assert chosen.row(Request("a", 0.0, 1, forecast=Forecast.interval(382, 1000))) == 1
    assert chosen.row(Request("a", 0.0, 1, forecast=Forecast.exact(0))) == 1
    wide, narrow = (Entry(Request("a", 0.0, 1, forecast=Forecast.interval(low, 100)), 30) for low in (10, 60))
    assert (chosen.quantum(wide, 1.0), chosen.quantum(narrow, 1.0)) == (30, None)
    assert (chosen.evicted(wide), chosen.evicted(narrow)) == (100, 30)
    assert chosen.rows[1:] == AMin().rows


def key(chosen, asked, now):
    base, slope = chosen.rank(asked)
    return base + slope * now


class Code(Policy):
    """A rank that only code can say."""

    name = "code"

    def rank(self, entry):
        return Rank(3.0 * entry.estimate, 0.25)

    def keep(self, entry):
        return entry.generated


@pytest.mark.parametrize("inner", [Shortest(), Code(), policy("fcfs"), policy("response_ratio")])
def test_aging_takes_its_rate_times_the_wait_off_the_inner_rank(inner):
    for now in (7.0, 9.5, 100.0):
        expected = key(inner, entry(), now) - 2 * (now - ARRIVAL)
        assert key(Aging(inner, rate=2), entry(), now) == pytest.approx(expected)


@pytest.mark.parametrize("inner", [Shortest(), Code(), policy("fcfs"), policy("a_min"), Aging(Code())])
def test_response_ratio_is_the_wait_over_the_expected_tokens_whatever_is_inside(inner):
    for now in (7.0, 9.5, 100.0):
        assert key(ResponseRatio(inner), entry(), now) == pytest.approx(-(now - ARRIVAL) / EXPECTED)
    assert key(ResponseRatio(inner), entry(expected=0.0), 9.0) == -2.0  # at least one token


@pytest.mark.parametrize("wrapper", [Aging, ResponseRatio])
@pytest.mark.parametrize("inner", [Code(), *(kind() for kind in BUILT_IN.values())])
def test_a_wrapper_changes_the_rank_alone(wrapper, inner):
    outer, asked = wrapper(inner), entry(generated=44, attempts=0)
    assert outer.first(asked.request) == inner.first(asked.request)
    assert outer.reserve(asked) == inner.reserve(asked)
    assert outer.keep(asked) == inner.keep(asked)
    assert outer.evicted(asked) == inner.evicted(asked)
    assert outer.quantum(asked, 0.3) == inner.quantum(asked, 0.3)
    assert outer.yields(asked) == inner.yields(asked)
    assert outer.row(asked.request) == inner.row(asked.request)
    assert (outer.needs, outer.holds) == (inner.needs, inner.holds)
    assert outer.ranks_unknown == inner.ranks_unknown
    assert (outer.numbers is None) == (inner.numbers is None)


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_a_rate_is_finite_and_not_negative(rate):
    with pytest.raises(PolicyError, match="rate"):
        Aging(rate=rate)


def test_a_policy_without_a_rank_says_so():
    with pytest.raises(NotImplementedError, match="rank"):
        Policy().rank(entry())

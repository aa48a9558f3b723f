"""A token bucket lets in what a slow, obvious one lets in; places are counted and given back."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.gateway.access import Account, Bucket, Key, TooMany

EIGHTHS = st.integers(0, 80).map(lambda n: n / 8)
RATES = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0, 8.0])


def key(**limits):
    return Key(name="a", digest=b"", tenant="a", **limits)


class Reference:
    """Tokens drip into a bucket; a request takes one whole token out."""

    def __init__(self, rate, burst):
        self.rate, self.burst = Fraction(rate), burst
        self.tokens, self.at = Fraction(burst), Fraction(0)

    def take(self, now):
        now = Fraction(now)
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0


@given(rate=RATES, burst=st.integers(1, 6), gaps=st.lists(EIGHTHS, max_size=60))
def test_a_bucket_lets_in_what_the_obvious_one_does_and_says_the_same_wait(rate, burst, gaps):
    bucket, reference, now = Bucket(rate, burst), Reference(rate, burst), 0.0
    for gap in gaps:
        now += gap
        assert bucket.take(now) == pytest.approx(float(reference.take(now)), abs=1e-9)


@given(
    rate=st.floats(1e-3, 1e4),
    burst=st.integers(1, 50),
    start=st.floats(-1e6, 2e9),
    gaps=st.lists(st.floats(0, 1e3), min_size=1, max_size=100),
)
def test_no_stretch_of_time_holds_more_than_a_burst_and_the_rate(rate, burst, start, gaps):
    bucket, now, entered = Bucket(rate, burst), start, []
    for gap in gaps:
        now += gap
        if bucket.take(now) == 0:
            entered.append(now)
    for i, first in enumerate(entered):
        for count, last in enumerate(entered[i:], start=1):
            assert count <= burst + (last - first) * (1 + 1e-9) * rate + 1e-3


@given(rate=st.floats(1e-6, 1e9), burst=st.integers(1, 60), now=st.floats(0, 2e9))
def test_a_whole_burst_gets_in_at_once_and_not_one_more(rate, burst, now):
    bucket = Bucket(rate, burst)
    assert [bucket.take(now) for _ in range(burst)] == [0.0] * burst
    assert bucket.take(now) == pytest.approx(1 / rate, rel=1e-9)


@given(rate=RATES, burst=st.integers(1, 6), gaps=st.lists(EIGHTHS, max_size=30))
def test_who_waits_as_long_as_told_gets_in(rate, burst, gaps):
    bucket, now = Bucket(rate, burst), 0.0
    for gap in gaps:
        now += gap
        if wait := bucket.take(now):
            now += wait
            assert bucket.take(now) == 0


def test_a_clock_that_steps_back_gives_nothing_away():
    bucket = Bucket(1.0, 1)
    assert bucket.take(100.0) == 0
    assert bucket.take(50.0) > 0
    assert bucket.take(100.5) > 0
    assert bucket.take(101.0) == 0


def test_a_place_is_free_again_once_somebody_left():
    account = Account(key(concurrency=2))
    account.enter(0.0)
    account.enter(0.0)
    with pytest.raises(TooMany, match="in flight") as refused:
        account.enter(0.0)
    assert (refused.value.reason, refused.value.retry_after) == ("concurrency", 1.0)
    account.in_flight -= 1
    account.enter(0.0)


def test_a_request_that_finds_no_place_costs_nothing_of_the_rate():
    account = Account(key(concurrency=1, rate=1.0, burst=2))
    account.enter(0.0)
    with pytest.raises(TooMany, match="in flight"):
        account.enter(0.0)
    account.in_flight -= 1
    account.enter(0.0)


def test_a_request_beyond_the_rate_takes_no_place_and_is_told_when_to_come_again():
    account = Account(key(rate=0.5, burst=1))
    account.enter(10.0)
    with pytest.raises(TooMany, match="requests a second") as refused:
        account.enter(11.0)
    assert refused.value.reason == "rate"
    assert refused.value.retry_after == 1.0
    assert account.in_flight == 1
    account.enter(11.0 + refused.value.retry_after)


def test_other_limits_begin_with_what_was_counted():
    account = Account(key(rate=1.0, burst=4, concurrency=9))
    for _ in range(4):
        account.enter(0.0)
    account.change(key(rate=10.0, burst=4, concurrency=5), now=0.0)
    with pytest.raises(TooMany) as refused:
        account.enter(0.0)
    assert refused.value.retry_after == pytest.approx(0.1)
    account.enter(0.1)
    with pytest.raises(TooMany, match="in flight"):
        account.enter(60.0)


def test_limits_that_go_are_gone_and_limits_that_come_begin_full():
    account = Account(key(rate=1.0, burst=1))
    account.enter(0.0)
    account.change(key(), now=0.0)
    account.enter(0.0)
    account.change(key(rate=1.0, burst=2), now=0.0)
    account.enter(0.0)
    account.enter(0.0)
    with pytest.raises(TooMany):
        account.enter(0.0)

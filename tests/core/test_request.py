"""Facts that a request may hold, and an entry's clamp."""

import math
from dataclasses import FrozenInstanceError

import pytest

from soonest.core import Entry, Forecast, Request, RequestError
from soonest.core.forecast import MAX_TOKENS


def test_a_request_without_a_forecast_is_unknown():
    assert not Request("a", 0.0, 5).forecast.known


def test_facts_at_their_limits_are_accepted():
    Request("a", -1e9, 0, 0, 1)
    Request("", 1e18, MAX_TOKENS, MAX_TOKENS, MAX_TOKENS)


@pytest.mark.parametrize("arrival", [math.nan, math.inf, -math.inf])
def test_an_arrival_is_a_finite_time(arrival):
    with pytest.raises(RequestError, match=r"'a'.*arrival"):
        Request("a", arrival, 5)


@pytest.mark.parametrize("tokens", [-1, MAX_TOKENS + 1, math.nan])
def test_a_prompt_has_a_sane_number_of_tokens(tokens):
    with pytest.raises(RequestError, match=r"'a'.*prompt_tokens"):
        Request("a", 0.0, tokens)


@pytest.mark.parametrize("cached", [-1, 6, math.nan])
def test_no_more_is_cached_than_the_prompt(cached):
    with pytest.raises(RequestError, match=r"'a'.*cached_tokens"):
        Request("a", 0.0, 5, cached_tokens=cached)


@pytest.mark.parametrize("limit", [0, -1, MAX_TOKENS + 1, math.nan])
def test_a_limit_allows_at_least_one_token(limit):
    with pytest.raises(RequestError, match=r"'a'.*max_tokens"):
        Request("a", 0.0, 5, max_tokens=limit)


@pytest.mark.parametrize("target", [0, -1.0, math.nan])
@pytest.mark.parametrize("name", ["ttft_target", "e2e_target"])
def test_a_target_is_a_time_to_come(name, target):
    with pytest.raises(RequestError, match=r"'a'.*targets"):
        Request("a", 0.0, 5, **{name: target})
    assert getattr(Request("a", 0.0, 5), name) == math.inf


def test_a_request_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Request("a", 0.0, 5).arrival = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("estimate", "room", "kept"),
    [(0, 100, 1), (-5.0, 100, 1), (7.9, 100, 7), (math.inf, 100, 60), (70, 100, 60), (50, 40, 40), (math.nan, 40, 1)],
)
def test_an_estimate_stays_within_one_token_the_room_and_the_limit(estimate, room, kept):
    entry = Entry(Request("a", 0.0, 5, max_tokens=60, forecast=Forecast.exact(9)))
    entry.clamp(estimate, room)
    assert entry.estimate == kept
    assert isinstance(entry.estimate, int)

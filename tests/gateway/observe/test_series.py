"""Counting is what prometheus_client would count; an answer cut short says only what it can."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Histogram as Theirs
from prometheus_client.utils import floatToGoString

from soonest.core import Forecast, Outcome
from soonest.gateway.observe import METRICS, Series
from soonest.gateway.observe.series import LAST_ANSWERS, MOST_REASONS, Coverage, Histogram, Reasons

NAME = "soonest_inter_token_latency_seconds"
BOUNDS = METRICS[NAME].buckets
SHARES = st.floats(0.01, 1)
SECONDS = st.one_of(st.floats(0, 100), st.sampled_from(BOUNDS))


def promising(low, high, coverage=0.9):
    return Forecast((0.0, 1.0), (float(low), float(high)), low, high, coverage)


@given(values=st.lists(SECONDS, max_size=50))
def test_buckets_hold_what_those_of_prometheus_client_hold(values):
    ours, theirs = Histogram(NAME), Theirs("x", "x", buckets=BOUNDS, registry=None)
    for value in values:
        ours.observe(value)
        theirs.observe(value)
    (family,) = theirs.collect()
    expected = [(s.labels["le"], s.value) for s in family.samples if s.name.endswith("_bucket")]
    assert ours.buckets() == expected
    assert ours.total == pytest.approx(math.fsum(values))


@given(SECONDS, st.integers(1, 50))
def test_many_equal_ones_at_once_are_many_one_by_one(value, count):
    alone, together = Histogram(NAME), Histogram(NAME)
    for _ in range(count):
        alone.observe(value)
    together.observe(value, count)
    assert together.buckets() == alone.buckets()
    assert together.total == pytest.approx(alone.total)


@pytest.mark.parametrize("name", [name for name, meaning in METRICS.items() if meaning.buckets])
def test_bounds_increase_and_read_as_prometheus_writes_them(name):
    bounds = METRICS[name].buckets
    assert list(bounds) == sorted(set(bounds))
    assert [floatToGoString(bound) for bound in bounds] == [str(bound) for bound in bounds]


def test_events_that_arrive_together_share_their_gap():
    series = Series()
    series.gap(0.6, 3)
    assert series.inter_token_latency.total == pytest.approx(0.6)
    assert dict(series.inter_token_latency.buckets())["0.2"] == 3
    assert dict(series.inter_token_latency.buckets())["0.15"] == 0


def test_a_finished_answer_has_its_latencies_and_lengths(record):
    series = Series()
    series.ended(record(), "stop")
    assert series.success.counts == {"stop": 1}
    assert series.e2e_latency.total == 10
    assert series.prompt_tokens.total == 30
    assert series.generation_tokens.total == 9
    assert series.time_per_output_token.total == 1


@pytest.mark.parametrize("changed", [{"output_tokens": 1}, {"output_tokens": 0}, {"first_token": math.nan}])
def test_an_answer_without_a_second_token_has_no_time_per_token(record, changed):
    series = Series()
    series.ended(record(**changed), "stop")
    assert series.time_per_output_token.buckets()[-1][1] == 0
    assert series.e2e_latency.buckets()[-1][1] == 1


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.FINISHED])
def test_an_answer_that_did_not_finish_is_counted_and_in_no_latency(record, outcome):
    series = Series()
    series.ended(record(outcome=outcome, finished=math.nan), None, promising(1, 2))
    series.ended(record(outcome=outcome, finished=math.nan), None, promising(1, 2), status=400)
    assert set(series.success.counts) <= {"abort", "error", "refused"}
    assert series.success.counts["refused"] == (outcome is Outcome.FAILED)
    assert series.success.counts.total() == 2
    assert not any(h.total for h in (series.e2e_latency, series.generation_tokens, series.forecast_error))
    assert series.coverage.ratio is None


@pytest.mark.parametrize(
    ("tokens", "finish_reason", "error", "inside"),
    [
        (10, "stop", 0, True),
        (5, "stop", 5, True),
        (4, "stop", 6, False),
        (15, "stop", 5, True),
        (16, "stop", 6, False),
        (4, "length", 0, True),
        (16, "length", 6, False),
    ],
)
def test_a_forecast_is_compared_with_what_came(record, tokens, finish_reason, error, inside):
    series = Series()
    series.ended(record(output_tokens=tokens), finish_reason, promising(5, 15))
    assert series.forecast_error.total == error
    assert series.coverage.ratio == inside
    assert (series.coverage.promised, series.coverage.answers) == (0.9, 1)


@pytest.mark.parametrize("forecast", [None, Forecast.unknown(100)])
def test_what_was_not_forecast_has_no_error(record, forecast):
    series = Series()
    series.ended(record(), "stop", forecast)
    assert series.forecast_error.buckets()[-1][1] == 0
    assert series.coverage.ratio is None


def test_an_interval_without_a_promise_is_not_held_to_it(record):
    series = Series()
    series.ended(record(), "stop", Forecast.interval(1, 2))
    assert series.forecast_error.total == 7.5
    assert (series.coverage.ratio, series.coverage.promised, series.coverage.answers) == (None, None, 0)


@given(inside=st.lists(st.booleans(), min_size=1, max_size=3 * LAST_ANSWERS), promises=st.tuples(SHARES, SHARES))
def test_coverage_and_its_promise_are_those_of_the_last_answers(inside, promises):
    coverage = Coverage()
    told = [promises[one] for one in inside]
    for one, promise in zip(inside, told, strict=True):
        coverage.add(one, promise)
    last = inside[-LAST_ANSWERS:]
    assert coverage.ratio == sum(last) / len(last)
    assert coverage.promised == pytest.approx(sum(told[-LAST_ANSWERS:]) / len(last))
    assert coverage.answers == len(inside)


def test_reasons_that_an_engine_invents_are_bounded():
    reasons = Reasons()
    for number in range(1000):
        reasons.add(f"r{number}")
    assert len(reasons.counts) == MOST_REASONS + 1
    assert reasons.counts.total() == 1000


def test_a_prompt_s_estimate_is_compared_with_its_tokens():
    series = Series()
    series.prompt_estimated(90.0, 100)
    series.prompt_estimated(3.0, 0)
    assert series.prompt_error.total == pytest.approx(3.1)

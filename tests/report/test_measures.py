"""Every measure on a run small enough to do by hand, and its laws on any run."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Outcome, Record, Records, SoonestError
from soonest.report import MEASURES, measures

NAN = math.nan

# Four requests on one clock: a and b finish, c and d speak for another tenant, d is aborted.
RUN = Records.of(
    [
        Record("a", 1, 2, 3, 7, 10, 5, tenant="x"),
        Record("b", 2, 2, 4, 4, 20, 1, evictions=2, tokens_lost=3, tokens_recomputed=40, tenant="x"),
        Record("c", 3, 6, 8, 11, 30, 4, evictions=1, tokens_lost=1, tokens_recomputed=8, tenant="y"),
        Record("d", 4, 12, 13, NAN, 40, 2, evictions=1, tenant="y", outcome=Outcome.ABORTED),
    ]
)
NOTHING = Records.of([])
REFUSED = Records.of([Record("a", 1, NAN, NAN, NAN, 10, 0, outcome=Outcome.REJECTED)])


@st.composite
def runs(draw):
    """Up to 12 requests, some of which do not finish, in times that are exact in binary."""
    records = []
    for i in range(draw(st.integers(1, 12))):
        times = np.cumsum([draw(st.integers(0, 4000)) / 8 for _ in range(4)]).tolist()
        outcome = draw(st.sampled_from([Outcome.FINISHED, Outcome.FINISHED, Outcome.ABORTED, Outcome.REJECTED]))
        if outcome is not Outcome.FINISHED:
            times[3] = NAN
        if outcome is Outcome.REJECTED:
            times[1:] = [NAN] * 3
        tokens = draw(st.integers(1, 50))
        tenant = draw(st.sampled_from("pqr"))
        records.append(Record(str(i), *times, 10, tokens, tenant=tenant, outcome=outcome))
    return Records.of(records)


def test_latencies_run_from_arrival_and_skip_what_did_not_finish():
    assert measures.jct(RUN).tolist() == [6, 2, 8]
    assert measures.ttft(RUN).tolist() == [2, 2, 5]
    assert measures.queueing(RUN).tolist() == [1, 0, 3]


def test_time_per_token_leaves_out_the_first_token_and_answers_of_one():
    assert measures.tpot(RUN).tolist() == [4 / 4, 3 / 3]


def test_an_empty_answer_has_a_completion_time_but_no_first_token():
    empty = Records.of([Record("a", 0, 1, NAN, 2, 10, 0), Record("b", 0, 1, NAN, 2, 10, 2)])
    assert measures.jct(empty).tolist() == [2, 2]
    assert len(measures.ttft(empty)) == len(measures.tpot(empty)) == 0


def test_the_longest_wait_counts_requests_that_were_admitted_and_then_lost():
    assert measures.max_wait(RUN) == 8


def test_slowdown_divides_by_each_requests_own_service_time():
    assert measures.slowdown(RUN, np.array([3.0, 2.0, 4.0, 1.0])).tolist() == [2, 1, 2]


@pytest.mark.parametrize("service", [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0], [1.0, NAN, 1.0, 1.0]])
def test_slowdown_refuses_a_missing_or_empty_service_time(service):
    with pytest.raises(SoonestError, match="service time"):
        measures.slowdown(RUN, np.array(service))


def test_throughput_is_over_first_arrival_to_last_finish():
    assert measures.duration(RUN) == 10
    assert measures.request_throughput(RUN) == pytest.approx(3 / 10)
    assert measures.output_throughput(RUN) == pytest.approx((5 + 1 + 4) / 10)
    assert measures.total_token_throughput(RUN) == pytest.approx((60 + 10) / 10)


def test_quarter_throughput_stops_when_a_quarter_is_done():
    assert measures.quarter_throughput(RUN) == pytest.approx(1 / (4 - 1))
    ends = [10, 2, 2, 7, 9]  # a quarter of five is two; at time 2 two are done
    five = Records.of([Record(str(i), 0, 0, 1, end, 1, 1) for i, end in enumerate(ends)])
    assert measures.quarter_throughput(five) == pytest.approx(2 / 2)


def test_quarter_throughput_rewards_order_where_sustained_throughput_does_not():
    def served(lengths):
        ends = np.cumsum(lengths)
        return Records.of([Record(str(i), 0, 0, end, end, 1, 1) for i, end in enumerate(ends)])

    first_come, shortest_first = served([8, 4, 2, 1]), served([1, 2, 4, 8])
    assert measures.request_throughput(first_come) == measures.request_throughput(shortest_first)
    assert measures.quarter_throughput(shortest_first) == 8 * measures.quarter_throughput(first_come)


def test_quarter_throughput_is_unknown_when_fewer_than_a_quarter_finish():
    lost = [Record(str(i), 0, 1, NAN, NAN, 1, 1, outcome=Outcome.ABORTED) for i in range(4)]
    assert math.isnan(measures.quarter_throughput(Records.of([Record("a", 0, 1, 2, 3, 1, 1), *lost])))


@pytest.mark.parametrize(
    ("limits", "good"),
    [
        ({"ttft_ms": 2000}, 2),
        ({"ttft_ms": 1999}, 0),
        ({"tpot_ms": 1000}, 3),
        ({"tpot_ms": 999}, 1),  # b: one token, so its time per token is 0
        ({"e2el_ms": 6000}, 2),
        ({"ttft_ms": 2000, "e2el_ms": 5000}, 1),
        ({"ttft_ms": 9000, "tpot_ms": 9000, "e2el_ms": 9000}, 3),
    ],
)
def test_goodput_counts_requests_that_meet_every_limit(limits, good):
    assert measures.goodput(RUN, **limits) == pytest.approx(good / 10)


@pytest.mark.parametrize("limits", [{}, {"ttft_ms": 0}, {"ttft_ms": 1, "e2el_ms": -1}, {"tpot_ms": NAN}])
def test_goodput_needs_a_positive_limit(limits):
    with pytest.raises(SoonestError, match="at least one limit"):
        measures.goodput(RUN, **limits)


def test_counts_are_sums_over_all_requests():
    assert (measures.completed(RUN), measures.failed(RUN)) == (3, 1)
    assert (measures.total_input(RUN), measures.total_output(RUN)) == (60, 10)
    assert (measures.evictions(RUN), measures.tokens_lost(RUN), measures.tokens_recomputed(RUN)) == (4, 4, 48)
    assert measures.preempted(RUN) == 75
    assert measures.total_latency(RUN) == 16


def test_fairness_is_jains_index_of_the_tenants_mean_completion_times():
    assert measures.jain(RUN) == pytest.approx((4 + 8) ** 2 / (2 * (16 + 64)))


def test_tenants_who_all_fare_alike_are_treated_fairly():
    alike = Records.of([Record(t, 0, 0, 0, 5, 1, 1, tenant=t) for t in "abc"])
    at_once = Records.of([Record(t, 0, 0, 0, 0, 1, 1, tenant=t) for t in "abc"])
    assert measures.jain(alike) == measures.jain(at_once) == 1


@pytest.mark.parametrize("records", [NOTHING, REFUSED])
def test_a_run_in_which_nothing_finished_measures_nothing_and_raises_nothing(records):
    for values in (measures.jct, measures.ttft, measures.tpot, measures.queueing):
        assert len(values(records)) == 0
    for number in (
        measures.max_wait,
        measures.duration,
        measures.request_throughput,
        measures.quarter_throughput,
        measures.total_latency,
        measures.jain,
    ):
        assert math.isnan(number(records))
    assert measures.completed(records) == 0
    assert measures.failed(records) == len(records)


@given(runs())
def test_waiting_comes_before_speaking_and_speaking_before_the_end(records):
    jct, ttft, queueing = measures.jct(records), measures.ttft(records), measures.queueing(records)
    assert (jct >= ttft).all()
    assert (ttft >= queueing).all()
    assert (queueing >= 0).all()
    assert (measures.tpot(records) >= 0).all()
    assert len(jct) == measures.completed(records) == len(records) - measures.failed(records)


@given(runs())
def test_no_finished_request_waits_longer_than_the_longest_wait(records):
    assert (measures.queueing(records) <= np.nan_to_num(measures.max_wait(records), nan=-1)).all()


@given(runs())
def test_jains_index_lies_between_one_nth_and_one(records):
    tenants = len(set(records.tenant[records.done]))
    if tenants:
        assert 1 / tenants - 1e-12 <= measures.jain(records) <= 1 + 1e-12


@given(runs(), st.floats(1, 1e6), st.floats(1, 1e6))
def test_goodput_never_exceeds_throughput_and_another_limit_never_raises_it(records, ttft_ms, e2el_ms):
    one = measures.goodput(records, ttft_ms=ttft_ms)
    if not math.isnan(one):
        assert measures.goodput(records, ttft_ms=ttft_ms, e2el_ms=e2el_ms) <= one
        assert one <= measures.request_throughput(records)


@given(runs())
def test_alone_a_request_is_slowed_down_by_exactly_one(records):
    alone = np.nan_to_num(records.finished - records.arrival, nan=1.0)
    if (alone > 0).all():
        assert (measures.slowdown(records, alone) == 1).all()


def test_every_measure_is_catalogued():
    written = {f for name, f in inspect.getmembers(measures, inspect.isfunction) if not name.startswith("_")}
    catalogued = {m.function for m in MEASURES.values()}
    assert {f for f in written if f.__module__ == measures.__name__} <= catalogued


@pytest.mark.parametrize("name", MEASURES)
def test_the_catalogue_and_the_docstring_say_the_same(name):
    measure = MEASURES[name]
    assert measure.label
    if measure.function is None:
        assert name == "peak_memory"
        return
    said = " ".join(inspect.getdoc(measure.function).split())
    assert f"Formula: {measure.formula}. Unit: {measure.unit}. Source: {measure.source}." in said

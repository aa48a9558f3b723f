"""A run in numbers: vLLM's keys, then ours."""

import json
import math

import numpy as np
import pytest

from soonest.core import Outcome, Record, Records, SoonestError
from soonest.report import MEASURES, Gaps, summarise

VLLM_KEYS = [
    "duration",
    "completed",
    "failed",
    "total_input_tokens",
    "total_output_tokens",
    "request_throughput",
    "request_goodput",
    "output_throughput",
    "total_token_throughput",
    *("mean_ttft_ms", "median_ttft_ms", "std_ttft_ms", "p90_ttft_ms", "p99_ttft_ms"),
    *("mean_tpot_ms", "median_tpot_ms", "std_tpot_ms", "p90_tpot_ms", "p99_tpot_ms"),
    *("mean_itl_ms", "median_itl_ms", "std_itl_ms", "p90_itl_ms", "p99_itl_ms"),
    *("mean_e2el_ms", "median_e2el_ms", "std_e2el_ms", "p90_e2el_ms", "p99_e2el_ms"),
]
OUR_KEYS = [
    "max_e2el_ms",
    "mean_queue_ms",
    "p99_queue_ms",
    "max_queue_ms",
    "mean_slowdown",
    "p99_slowdown",
    "evictions",
    "preempted_percent",
    "tokens_lost",
    "tokens_recomputed",
    "peak_memory_tokens",
    "total_latency_s",
    "quarter_throughput",
    "jain_tenants",
]
RUN = Records.of(
    [
        Record("a", 0, 1, 2, 4, 10, 5),
        Record("b", 0, 4, 5, 8, 10, 4, evictions=1),
        Record("c", 1, math.nan, math.nan, math.nan, 10, 0, outcome=Outcome.REJECTED),
    ]
)
NOTHING = Records.of([Record("a", 1, math.nan, math.nan, math.nan, 10, 0, outcome=Outcome.CANCELLED)])


def test_the_keys_are_vllms_in_its_order_and_then_ours():
    assert list(summarise(RUN)) == VLLM_KEYS + OUR_KEYS


def test_the_keys_are_the_same_whatever_is_known():
    known = summarise(
        RUN, gaps=Gaps.geometric(), service=np.ones(3), slos={"ttft": 1.0}, peak_memory=7, percentiles=(90,)
    )
    assert list(known) == list(summarise(NOTHING))


def test_every_key_belongs_to_a_catalogued_measure():
    stems = tuple(measure.key for measure in MEASURES.values())
    assert [key for key in summarise(RUN) if not key.endswith(stems)] == []
    assert [stem for stem in stems if not any(key.endswith(stem) for key in summarise(RUN))] == []


def test_times_are_in_milliseconds_and_the_spread_is_numpys():
    summary = summarise(RUN, service=np.array([2.0, 2.0, 2.0]), slos={"ttft": 2000.0, "tpot": 500.0}, peak_memory=64)
    expected = {
        "duration": 8.0,
        "completed": 2,
        "failed": 1,
        "request_throughput": 2 / 8,
        "request_goodput": 1 / 8,
        "total_token_throughput": 29 / 8,
        "mean_ttft_ms": 3500.0,
        "std_ttft_ms": 1500.0,
        "median_tpot_ms": 750.0,
        "mean_e2el_ms": 6000.0,
        "p90_e2el_ms": 7600.0,
        "p99_e2el_ms": 7960.0,
        "max_e2el_ms": 8000.0,
        "mean_queue_ms": 2500.0,
        "max_queue_ms": 4000.0,
        "mean_slowdown": 3.0,
        "preempted_percent": 100 / 3,
        "peak_memory_tokens": 64,
        "total_latency_s": 12.0,
        "quarter_throughput": 1 / 4,
        "jain_tenants": 1.0,
    }
    assert {key: summary[key] for key in expected} == pytest.approx(expected)


def test_gaps_fill_the_inter_token_latency():
    gaps = Gaps(np.array([0.0, 0.02]), np.array([5]))
    summary = summarise(RUN, gaps=gaps)
    assert summary["mean_itl_ms"] == pytest.approx(10)
    assert summary["p90_itl_ms"] == pytest.approx(18)


@pytest.mark.parametrize("records", [RUN, NOTHING, Records.of([])])
def test_what_nobody_knows_is_null_and_the_json_is_valid(records):
    summary = summarise(records, gaps=Gaps.geometric())
    text = json.dumps(summary, allow_nan=False)
    assert json.loads(text) == summary
    assert summary["request_goodput"] is None
    assert summary["mean_itl_ms"] is None
    assert summary["mean_slowdown"] is None


def test_a_run_over_no_time_has_no_rate():
    at_once = Records.of([Record("a", 3, 3, 3, 3, 10, 5)])
    summary = summarise(at_once)
    assert summary["duration"] == 0
    assert summary["request_throughput"] is None
    assert summary["quarter_throughput"] is None


def test_percentiles_are_as_asked_and_p99_is_always_there():
    keys = summarise(RUN, percentiles=(50, 99.9))
    assert [key for key in keys if key.startswith("p") and key.endswith("ttft_ms")] == [
        "p50_ttft_ms",
        "p99_ttft_ms",
        "p99.9_ttft_ms",
    ]


@pytest.mark.parametrize("percentiles", [(-1,), (101,), (math.nan,)])
def test_a_percentile_outside_its_range_is_refused(percentiles):
    with pytest.raises(SoonestError, match=r"0\.\.100"):
        summarise(RUN, percentiles=percentiles)


def test_an_unknown_slo_is_refused_by_name():
    with pytest.raises(SoonestError, match="no SLO itl; known: ttft, tpot, e2el"):
        summarise(RUN, slos={"itl": 1.0})

"""Every metric by name: its kind, its labels and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from soonest.gateway.observe import buckets

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What Prometheus calls a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one metric is. A `watched` one is asked for when somebody scrapes, and absent while nobody tells it."""

    kind: Kind
    labels: tuple[str, ...]
    doc: str
    buckets: tuple[float, ...] = ()
    watched: bool = False


MODEL = ("model_name", "policy")
ENGINE = ("engine",)


def _histogram(bounds: tuple[float, ...], doc: str) -> Meaning:
    return Meaning(Kind.HISTOGRAM, MODEL, doc, bounds)


def _counter(labels: tuple[str, ...], doc: str, *, watched: bool = False) -> Meaning:
    return Meaning(Kind.COUNTER, labels, doc, watched=watched)


def _watched(labels: tuple[str, ...], doc: str) -> Meaning:
    return Meaning(Kind.GAUGE, labels, doc, watched=True)


METRICS: Mapping[str, Meaning] = MappingProxyType(
    {
        "soonest_num_requests_waiting": _watched(MODEL, "Requests that wait in the gateway's queue."),
        "soonest_num_requests_running": _watched(MODEL, "Requests that an engine is answering for the gateway."),
        "soonest_request_queue_time_seconds": _histogram(
            buckets.LATENCY, "Time from a request's arrival until it was given to an engine."
        ),
        "soonest_time_to_first_token_seconds": _histogram(
            buckets.FIRST_TOKEN, "Time from a request's arrival to its first token, queueing included."
        ),
        "soonest_inter_token_latency_seconds": _histogram(
            buckets.PER_TOKEN,
            "Time between one streamed event and the next; events that arrive together share their gap evenly.",
        ),
        "soonest_request_time_per_output_token_seconds": _histogram(
            buckets.PER_TOKEN, "Time per output token after the first, of each finished request with at least two."
        ),
        "soonest_e2e_request_latency_seconds": _histogram(
            buckets.LATENCY, "Time from a finished request's arrival to its last token, queueing included."
        ),
        "soonest_request_prompt_tokens": _histogram(buckets.TOKENS, "Prompt tokens of finished requests."),
        "soonest_request_generation_tokens": _histogram(buckets.TOKENS, "Output tokens of finished requests."),
        "soonest_request_success_total": _counter(
            (*MODEL, "finished_reason"),
            "Requests that ended, by the engine's finish reason; abort if the client left, refused if the request"
            " itself was wrong (4xx), error if it failed.",
        ),
        "soonest_admission_rejections_total": _counter(
            (*MODEL, "reason"), "Requests that the gateway answered with an error of its own, by reason."
        ),
        "soonest_request_overtakes": _histogram(
            buckets.OVERTAKES, "How many requests that arrived later were given to an engine before this one."
        ),
        "soonest_forecast_seconds": _histogram(buckets.FORECAST, "Time that it took to forecast an answer's length."),
        "soonest_forecast_error_tokens": _histogram(
            buckets.TOKENS,
            "Distance between the expected and the actual output tokens of finished requests with a known forecast.",
        ),
        "soonest_forecast_coverage_ratio": Meaning(
            Kind.GAUGE,
            MODEL,
            "Share of the last 1,000 finished answers with a promised interval that lay inside it.",
        ),
        "soonest_forecast_promised_ratio": Meaning(
            Kind.GAUGE, MODEL, "Share of those answers that was promised: the mean of their forecasts' coverages."
        ),
        "soonest_forecast_promises_total": _counter(MODEL, "Finished answers with a promised interval."),
        "soonest_forecast_fallbacks_total": _counter(
            (*MODEL, "reason"),
            "Requests served without a forecast, as unknown, by reason; or, for the reason tokenize, with an estimate"
            " of their prompt tokens.",
        ),
        "soonest_prompt_estimate_error_ratio": _histogram(
            buckets.RATIO, "Distance between the estimated and the actual prompt tokens, as a share of the actual."
        ),
        "soonest_upstream_up": _watched(ENGINE, "1 while the engine is given requests, else 0."),
        "soonest_upstream_breaker_open": _watched(
            ENGINE, "1 while failures keep requests away from the engine until a probe succeeds, else 0."
        ),
        "soonest_upstream_in_flight": _watched(ENGINE, "Requests that the gateway has at the engine."),
        "soonest_upstream_in_flight_limit": _watched(ENGINE, "The most requests the gateway has at the engine."),
        "soonest_upstream_num_requests_waiting": _watched(ENGINE, "Requests waiting inside the engine, as it says."),
        "soonest_upstream_num_requests_running": _watched(ENGINE, "Requests running inside the engine, as it says."),
        "soonest_upstream_kv_cache_usage_perc": _watched(
            ENGINE, "Share of the engine's KV cache in use, 1 for all, as it says."
        ),
        "soonest_upstream_retries_total": _counter(
            MODEL, "Requests that had streamed nothing yet and were given to another engine."
        ),
        "soonest_upstream_restarts_total": _counter(
            ENGINE, "How often an engine that the gateway started was started again.", watched=True
        ),
        "soonest_evictions_total": _counter(
            ENGINE, "Running requests sent back to the queue inside the engine, as it says.", watched=True
        ),
        "soonest_journal_rows_lost_total": _counter((), "Rows that the journal could not keep.", watched=True),
        "soonest_journal_rows_queued": _watched((), "Rows on their way into the journal."),
        "soonest_journal_healthy": _watched((), "1 while the journal takes rows, else 0."),
        "soonest_time_saved_seconds": _watched(
            (),
            "Estimated mean seconds a request was sooner than under fcfs; absent while the simulator does not replay"
            " the journal within 10 %.",
        ),
        "soonest_build_info": Meaning(Kind.GAUGE, ("version", "policy", "mode"), "1, with what is running as labels."),
    }
)

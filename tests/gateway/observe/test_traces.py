"""A span continues the client's trace, is continued by the engine's, and holds no prompt."""

import json
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from soonest.core import Forecast, Outcome, SoonestError
from soonest.gateway.observe import Traces

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENT = [
    (b"host", b"x"),
    (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()),
    (b"tracestate", b"vendor=1"),
    (b"authorization", b"Bearer marked"),
]


class Sent:
    def __init__(self, **options):
        self.exporter = InMemorySpanExporter()
        self.traces = Traces.to("http://127.0.0.1:1", "shortest", exporter=self.exporter, **options)

    def spans(self):
        self.traces.close()
        return self.exporter.get_finished_spans()


def test_a_span_has_the_words_of_the_conventions_and_ours(record):
    sent = Sent(version="1.2.3")
    trace = sent.traces.begin("chat", "tiny", CLIENT, request_id="r1")
    trace.forecast(Forecast.interval(5, 15))
    trace.admitted(1.0, rank=10.0)
    trace.end(record(), finish_reason="stop", engine="http://a:1")
    (span,) = sent.spans()
    assert (span.name, span.kind, span.status.status_code) == ("chat tiny", SpanKind.SERVER, StatusCode.UNSET)
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "tiny",
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.response.time_to_first_chunk": 2.0,
        "gen_ai.response.finish_reasons": ("stop",),
        "soonest.request_id": "r1",
        "soonest.policy": "shortest",
        "soonest.queue_seconds": 1.0,
        "soonest.rank": 10.0,
        "soonest.forecast_low": 5,
        "soonest.forecast_expected": 10.0,
        "soonest.forecast_high": 15,
        "soonest.outcome": "finished",
        "soonest.engine": "http://a:1",
    }
    assert span.resource.attributes["service.name"] == "soonest"
    assert span.resource.attributes["service.version"] == "1.2.3"


def test_a_client_s_trace_goes_on_through_us_to_the_engine(record):
    sent = Sent()
    trace = sent.traces.begin("chat", "tiny", CLIENT)
    upstream = dict(trace.upstream())
    trace.end(record())
    (span,) = sent.spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert upstream[b"traceparent"].decode() == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert upstream[b"tracestate"] == b"vendor=1"


@pytest.mark.parametrize("headers", [[], [(b"traceparent", b"nonsense")], [(b"traceparent", b"\xff\xfe")]])
def test_without_a_client_s_trace_one_begins_here(record, headers):
    sent = Sent()
    trace = sent.traces.begin("text_completion", "tiny", headers)
    assert [name for name, _ in trace.upstream()] == [b"traceparent"]
    trace.end(record())
    (span,) = sent.spans()
    assert span.name == "text_completion tiny"
    assert span.parent is None


def test_a_trace_that_is_not_sampled_is_continued_and_not_sent(record):
    sent = Sent()
    unsampled = [(b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())]
    trace = sent.traces.begin("chat", "tiny", unsampled)
    trace.forecast(Forecast.interval(5, 15))
    trace.admitted(1.0, rank=10.0)
    assert dict(trace.upstream())[b"traceparent"].startswith(f"00-{TRACE}-".encode())
    assert dict(trace.upstream())[b"traceparent"].endswith(b"-00")
    trace.end(record())
    assert sent.spans() == ()


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.FAILED, StatusCode.ERROR),
        (Outcome.REJECTED, StatusCode.ERROR),
        (Outcome.CANCELLED, StatusCode.UNSET),
    ],
)
def test_a_failure_is_one_and_a_client_that_left_is_none(record, outcome, status):
    sent = Sent()
    sent.traces.begin("chat", "tiny", []).end(record(outcome=outcome, first_token=float("nan"), output_tokens=0))
    (span,) = sent.spans()
    assert span.status.status_code is status
    assert "gen_ai.response.time_to_first_chunk" not in span.attributes


def test_a_span_holds_no_key_and_no_endless_name(record):
    sent = Sent()
    sent.traces.begin("chat", "m" * 10_000, CLIENT).end(record())
    (span,) = sent.spans()
    said = json.dumps([span.name, dict(span.attributes)])
    assert "marked" not in said
    assert len(span.name) < 200


def test_half_a_character_reaches_no_exporter(record):
    sent = Sent()
    sent.traces.begin("chat", "\ud800", []).end(record(), finish_reason="\udfff")
    (span,) = sent.spans()
    assert (span.name, span.attributes["gen_ai.response.finish_reasons"]) == ("chat ?", ("?",))


def test_a_gateway_without_traces_loads_no_opentelemetry():
    code = "import sys, soonest.gateway.observe; print(*[m for m in sys.modules if m.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SoonestError, match=r"pip install 'soonest\[otel\]'"):
        Traces.to("http://127.0.0.1:1", "fcfs")

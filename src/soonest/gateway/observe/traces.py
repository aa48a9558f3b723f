"""OpenTelemetry: one span for each request, in the words of the GenAI conventions; needs the extra `otel`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from soonest.core import Outcome, SoonestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

    from soonest.core import Forecast, Record

LONGEST_NAME = 128
EXPORT_SECONDS = 2
"""For a batch of spans, tries again included: a collector that is away must not hold up the end."""
TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
CHAT, COMPLETION = "chat", "text_completion"
"""gen_ai.operation.name of the two scheduled paths."""


class Trace:
    """The span of one request, from its arrival to its end."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def upstream(self) -> list[tuple[bytes, bytes]]:
        """The headers that let an engine's own spans hang below this one; in place of the client's."""
        context = self._span.get_span_context()
        parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        headers = [(TRACEPARENT, parent.encode())]
        if context.trace_state:
            headers.append((TRACESTATE, context.trace_state.to_header().encode()))
        return headers

    def forecast(self, forecast: Forecast | None) -> None:
        """What is believed about the answer's length."""
        if forecast is not None and forecast.known and self._span.is_recording():
            self._span.set_attributes(
                {
                    "soonest.forecast_low": forecast.low,
                    "soonest.forecast_expected": forecast.expected,
                    "soonest.forecast_high": forecast.high,
                }
            )

    def admitted(self, queue_seconds: float, rank: float) -> None:
        """The request was given to an engine, with this rank at that moment."""
        self._span.set_attributes({"soonest.queue_seconds": queue_seconds, "soonest.rank": rank})

    def end(self, record: Record, *, finish_reason: str | None = None, engine: str = "") -> None:
        """The request is over, one way or another."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an extra

        span = self._span
        if span.is_recording():
            span.set_attributes(
                {
                    "gen_ai.usage.input_tokens": record.prompt_tokens,
                    "gen_ai.usage.output_tokens": record.output_tokens,
                    "soonest.outcome": record.outcome.value,
                    "soonest.engine": engine,
                }
            )
            if not math.isnan(record.first_token):
                span.set_attribute("gen_ai.response.time_to_first_chunk", record.first_token - record.arrival)
            if finish_reason is not None:
                span.set_attribute("gen_ai.response.finish_reasons", [_word(finish_reason)])
            if record.outcome in {Outcome.FAILED, Outcome.REJECTED, Outcome.ABORTED}:
                span.set_attribute("error.type", record.outcome.value)
                span.set_status(Status(StatusCode.ERROR))
        span.end()


class Traces:
    """Begins spans and sends them away in the background. Without an endpoint a gateway has none: it holds None."""

    def __init__(self, provider: TracerProvider, policy: str) -> None:
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("soonest.gateway")
        self._policy = policy

    @classmethod
    def to(cls, endpoint: str, policy: str, *, version: str = "", exporter: SpanExporter | None = None) -> Self:
        """Send spans to this OTLP endpoint (HTTP), such as http://localhost:4318/v1/traces, or to `exporter`.

        A trace that begins here is sent; one that a client began is sent if it was sampled there.

        Raises:
            SoonestError: OpenTelemetry is not installed; the message says how.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
            from opentelemetry.sdk.trace.sampling import DEFAULT_ON  # noqa: PLC0415
        except ImportError as error:
            raise SoonestError("traces need OpenTelemetry: pip install 'soonest[otel]'") from error
        resource = Resource.create({"service.name": "soonest", "service.version": version})
        provider = TracerProvider(sampler=DEFAULT_ON, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter(endpoint, timeout=EXPORT_SECONDS)))
        return cls(provider, policy)

    def begin(self, operation: str, model: str, headers: Iterable[tuple[bytes, bytes]], request_id: str = "") -> Trace:
        """A span for a request with these headers; it continues the client's trace if there is one."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - an extra
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        carrier = {
            name.decode(): value.decode("latin-1") for name, value in headers if name in {TRACEPARENT, TRACESTATE}
        }
        span = self._tracer.start_span(
            f"{operation} {_word(model)}",
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": _word(model),
                "soonest.policy": self._policy,
                "soonest.request_id": request_id,
            },
        )
        return Trace(span)

    def close(self) -> None:
        """Send what is left; may take seconds, so call it in a thread."""
        self._provider.shutdown()


def _word(text: str) -> str:
    """What came from outside, no longer than needed, and without halves of characters: they would stop the exporter."""
    return text[:LONGEST_NAME].encode("utf-8", "replace").decode()

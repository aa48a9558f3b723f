"""What keys, metrics, log lines and spans cost the event loop, in microseconds: python benchmarks/observing.py."""

from __future__ import annotations

import hashlib
import io
import timeit
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from soonest.core import Forecast, Record
from soonest.gateway.access import Access, Key
from soonest.gateway.observe import Finished, Metrics, RequestLog, Traces, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD = Record("a", 0.0, 0.1, 0.2, 5.0, 100, 64)
FORECAST = Forecast((0.0, 1.0), (1.0, 100.0), 10, 90, coverage=0.9)
HEADERS = [
    (b"host", b"x"),
    (b"accept", b"*/*"),
    (b"content-type", b"application/json"),
    (b"authorization", b"Bearer 0"),
    (b"user-agent", b"x"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
]


def show(what: str, call: Callable[[], object], number: int = 300) -> None:
    """The best of several rounds."""
    print(f"{what:45} {min(timeit.repeat(call, number=number, repeat=15)) / number * 1e6:9.2f}")


def door(keys: int) -> Callable[[], None]:
    """One request let in and out."""
    digests = [hashlib.sha256(str(i).encode()).digest() for i in range(keys)]
    access = Access([Key(str(i), d, str(i), rate=1e6, burst=10**9, concurrency=5) for i, d in enumerate(digests)])

    def call() -> None:
        caller = access.caller(HEADERS, 0.0)
        access.enter(caller, 0.0)
        access.leave(caller)

    return call


def life(metrics: Metrics, events: int) -> Callable[[], None]:
    """All that one request tells the metrics."""

    def call() -> None:
        series = metrics.of("tiny")
        series.forecast_made(0.001)
        series.admitted(0.1, 3)
        series.first_token(0.2)
        for _ in range(events - 1):
            series.gap(0.03)
        series.prompt_estimated(90, 100)
        series.ended(RECORD, "stop", FORECAST)

    return call


def line(log: RequestLog) -> Callable[[], None]:
    """One line of a finished request."""

    def call() -> None:
        if log.wants("a"):
            log.write(Finished.of(RECORD, model="tiny", engine="e", status=200, forecast=FORECAST))

    return call


def span(traces: Traces) -> Callable[[], None]:
    """One request's span."""

    def call() -> None:
        trace = traces.begin("chat", "tiny", HEADERS, "a")
        trace.upstream()
        trace.forecast(FORECAST)
        trace.admitted(0.1, 3.0)
        trace.end(RECORD, finish_reason="stop")

    return call


def main() -> None:
    """Print a table."""
    for keys in (0, 1, 100, 1000):
        show(f"access, {keys} keys", door(keys))
    metrics = Metrics("shortest")
    show("metrics, not streamed", life(metrics, 1))
    show("metrics, 64 events", life(metrics, 64))
    show("a scrape of one model", metrics.render, 5)
    for model in range(15):
        life(metrics, 1)()
        metrics.of(str(model)).ended(RECORD)
    show("a scrape of 16 models", metrics.render, 1)
    for as_json in (True, False):
        write_lines(as_json=as_json, stream=io.StringIO())
        show(f"a line, {'JSON' if as_json else 'for people'}", line(RequestLog()))
    show("a line that is not chosen", line(RequestLog(0.0)))
    traces = Traces.to("http://127.0.0.1:1", "shortest", exporter=InMemorySpanExporter())
    show("a span", span(traces))
    traces.close()


if __name__ == "__main__":
    main()

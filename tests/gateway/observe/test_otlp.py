"""Spans arrive at a collector over HTTP; one that is away holds nothing up for long."""

import gzip
import http.server
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from soonest.gateway.observe import Traces


@pytest.fixture
def collector():
    """A server that keeps what it is sent."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_collector_gets_the_spans(collector, record):
    url, bodies = collector
    sent = Traces.to(url, "shortest")
    for number in range(3):
        sent.begin("chat", f"m{number}", []).end(record())
    sent.close()
    requests = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    names = [s.name for r in requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]
    assert names == ["chat m0", "chat m1", "chat m2"]


def test_a_collector_that_is_away_delays_the_end_by_seconds_only(record):
    sent = Traces.to("http://127.0.0.1:1/v1/traces", "shortest")
    sent.begin("chat", "m", []).end(record())
    started = time.monotonic()
    sent.close()
    assert time.monotonic() - started < 6

"""The spans of requests that really went through a gateway."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.running import running

from soonest.gateway.observe import Traces


@pytest.fixture
def traces():
    """What a gateway is given, and the attributes of the spans that it has ended."""
    exporter = InMemorySpanExporter()
    made = Traces.to("http://127.0.0.1:1", "shortest", exporter=exporter)

    def ended():
        made._provider.force_flush()
        return [dict(span.attributes) for span in exporter.get_finished_spans()]

    return made, ended


def test_a_span_tells_the_rank_and_the_wait(traces):
    made, ended = traces
    with fake_engine() as fake, running(fake.url, parts={"traces": made}, policy="shortest") as gateway:
        asking(chat(7, vllm_xargs={"soonest_forecast": [7, 7, 7]}), url=gateway.url)
        until(gateway.idle)
        (span,) = ended()
    assert span["soonest.rank"] == 7
    assert span["soonest.queue_seconds"] >= 0
    assert span["soonest.outcome"] == "finished"


def test_an_answer_of_unknown_length_ranks_as_the_mean(traces):
    made, ended = traces
    with fake_engine() as fake, running(fake.url, parts={"traces": made}, policy="shortest") as gateway:
        mean = gateway.call(lambda: gateway.gateway.dispatcher.queue.mean_tokens)
        asking(chat(7), url=gateway.url)
        until(gateway.idle)
        (span,) = ended()
    assert span["soonest.rank"] == mean


def test_who_is_turned_away_at_the_queue_is_rejected_not_failed(traces):
    made, ended = traces
    with (
        fake_engine(step_ms=20, slots=1) as fake,
        running(fake.url, parts={"traces": made}, in_flight=1, most_waiting=1) as gateway,
    ):
        answers = asking(*[chat(20)] * 5, url=gateway.url)
        until(gateway.idle)
        spans = ended()
    turned_away = sum(status == 429 for status, _, _ in answers)
    assert turned_away
    assert sum(span["soonest.outcome"] == "rejected" for span in spans) == turned_away
    assert sum(span["soonest.outcome"] == "finished" for span in spans) == 5 - turned_away

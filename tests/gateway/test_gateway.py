"""A request's way through the gateway, over real TCP."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, events, until
from tests.gateway.raw import answer
from tests.gateway.running import running

from soonest.gateway.observe import RequestLog


def choices(raw, *, stream):
    if not stream:
        return json.loads(raw)["choices"]
    return [event if event == "[DONE]" else event["choices"] for event in events(raw)]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_the_engine_s(stream):
    with fake_engine() as fake, running(fake.url) as gateway:
        (direct,) = asking(chat(stream=stream), url=fake.url)
        (through,) = asking(chat(stream=stream), url=gateway.url)
        assert through[0] == direct[0] == 200
        assert choices(through[2], stream=stream) == choices(direct[2], stream=stream)
        assert gateway.idle()


def test_usage_that_the_client_asked_for_is_not_dropped():
    with fake_engine() as fake, running(fake.url) as gateway:
        for options, told in (({"include_usage": True}, True), ({"include_usage": False}, False), (None, False)):
            body = chat(3, stream=True, **({} if options is None else {"stream_options": options}))
            ((_, _, raw),) = asking(body, url=gateway.url)
            assert any(event["choices"] == [] for event in events(raw)[:-1]) == told


def test_short_forecasts_go_first_and_the_wait_is_told():
    with fake_engine(step_ms=5, slots=1) as fake, running(fake.url, policy="shortest", in_flight=1) as gateway:
        lengths = [160, 120, 80, 40]
        bodies = [chat(n, vllm_xargs={"soonest_forecast": [n, n, n]}) for n in lengths]
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(asking, chat(600), url=gateway.url)
            until(lambda: fake.seen()["running"] == 1)
            rest = pool.submit(asking, *bodies, url=gateway.url)
            until(lambda: gateway.call(lambda: len(gateway.gateway.dispatcher.queue)) == 4)
            assert not first.done()
            answers = rest.result()
        waits = [float(headers["x-soonest-queue-ms"]) for _, headers, _ in answers]
        assert waits == sorted(waits, reverse=True)
        assert answers[3][1]["x-soonest-forecast"] == "40,40.0,40"
        assert gateway.idle()


def test_the_log_line_of_an_answer_has_its_status(written):
    stream = written()
    with fake_engine() as fake, running(fake.url) as gateway:
        asking(chat(2), chat(2, stream=True), url=gateway.url)
        until(lambda: stream.getvalue().count('"message": "request"') == 2)
    said = map(json.loads, stream.getvalue().splitlines())
    assert [line["status"] for line in said if line["message"] == "request"] == [200, 200]


@pytest.mark.parametrize("stops", [False, True])
def test_requests_without_a_line_are_counted_in_one_within_seconds_and_at_the_end(written, stops):
    stream = written()
    lines = RequestLog(most=1, now=(lambda: 1.0) if stops else time.monotonic)
    with fake_engine() as fake, running(fake.url, parts={"lines": lines}) as gateway:
        asking(*[chat(2)] * 5, url=gateway.url)
        until(gateway.idle)
        if not stops:
            until(lambda: "more requests went well" in stream.getvalue(), 4)
    said = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    left_out = sum(int(message.split()[0]) for message in said if "more requests" in message)
    assert said.count("request") + left_out == 5
    assert left_out >= 3


def test_a_request_for_another_protocol_is_a_request_like_any_other():
    with fake_engine() as fake, running(fake.url) as gateway:
        said = answer(gateway.url, b"GET /v1/models HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket")
        assert said.startswith(b"HTTP/1.1 200 ")
        until(gateway.idle)

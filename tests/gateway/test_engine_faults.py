"""An engine that fails: others take over, clients are told, and no place is lost."""

import http.client
import json
import socket
import threading
import time

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, error_of, events, until
from tests.gateway.running import running


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def probed(gateway, path):
    """The status with which a path answers."""
    asked = http.client.HTTPConnection(gateway.url.partition("//")[2], timeout=10)
    try:
        asked.request("GET", path)
        return asked.getresponse().status
    finally:
        asked.close()


def test_with_no_engine_a_client_is_told_when_to_come_again():
    with running(closed_port()) as gateway:
        until(lambda: not gateway.call(lambda: gateway.gateway.up))
        ((status, headers, body),) = asking(chat(), url=gateway.url)
        assert status == 503
        assert int(headers["retry-after"]) >= 1
        assert error_of(body)["type"] == "ServiceUnavailableError"
        assert gateway.idle()
        assert [probed(gateway, path) for path in ("/health", "/ready/gateway", "/ready")] == [200, 200, 503]
        gateway.call(lambda: setattr(gateway.gateway, "draining", True))
        assert [probed(gateway, path) for path in ("/health", "/ready/gateway", "/ready")] == [200, 503, 503]


@pytest.mark.parametrize("fault", ["refuse", "die:0", "status:503", "status:502"])
@pytest.mark.parametrize("stream", [False, True])
def test_another_engine_takes_over_what_was_not_answered(fault, stream):
    with fake_engine() as bad, fake_engine() as good, running(bad.url, good.url) as gateway:
        bad.fault = fault
        answers = asking(*[chat(3, stream=stream)] * 8, url=gateway.url)
        assert [status for status, _, _ in answers] == [200] * 8
        assert good.seen()["finished"] == 8
        assert gateway.idle()


@pytest.mark.parametrize("fault", ["refuse", "die:0"])
def test_one_engine_alone_that_gives_no_answer_is_a_502(fault):
    with fake_engine() as fake, running(fake.url) as gateway:
        ((status, headers, body),) = asking(chat(3, fault), url=gateway.url)
        assert status == 502
        assert "retry-after" in headers
        assert error_of(body)["code"] == 502
        assert gateway.idle()


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
def test_an_engine_s_own_errors_pass_through_untouched(status):
    with fake_engine() as fake, running(fake.url) as gateway:
        (direct,) = asking(chat(3, f"status:{status},retry:7"), url=fake.url)
        (through,) = asking(chat(3, f"status:{status},retry:7"), url=gateway.url)
        assert through[0] == direct[0] == status
        assert through[2] == direct[2]
        assert through[1].get("retry-after") == direct[1].get("retry-after")
        assert gateway.idle()


@pytest.mark.parametrize("stream", [False, True])
def test_only_what_a_request_is_not_to_blame_for_counts_as_an_error(stream):
    blamed, others = (400, 404, 413, 422), (401, 403, 408, 429, 500, 503)
    with fake_engine() as fake, running(fake.url) as gateway:
        for status in blamed + others:
            assert asking(chat(3, f"status:{status}", stream=stream), url=gateway.url)[0][0] == status
        asking(chat(20, "die:3", stream=True), url=gateway.url)
        counted = gateway.call(lambda: dict(gateway.gateway.series("m").success.counts))
    assert counted == {"refused": len(blamed), "error": len(others) + 1}


def test_a_stream_that_breaks_off_ends_with_an_error_the_client_can_read():
    with fake_engine(step_ms=1) as fake, running(fake.url) as gateway:
        ((status, _, body),) = asking(chat(20, "die:5", stream=True), url=gateway.url)
        assert status == 200
        told = events(body)
        assert 3 <= len(told) <= 7
        assert told[-1]["error"]["code"] == 502
        assert gateway.idle()


def test_an_error_within_a_stream_passes_and_is_no_answer():
    with fake_engine(step_ms=1) as fake, running(fake.url) as gateway:
        ((_, _, body),) = asking(chat(20, "error:3", stream=True), url=gateway.url)
        assert any("error" in event for event in events(body) if isinstance(event, dict))
        assert gateway.call(lambda: gateway.gateway.dispatcher.queue.mean_tokens) == 128
        assert gateway.idle()


def test_garbage_passes_as_it_came():
    with fake_engine(step_ms=1) as fake, running(fake.url) as gateway:
        (direct,) = asking(chat(20, "garbage:3", stream=True), url=fake.url)
        (through,) = asking(chat(20, "garbage:3", stream=True), url=gateway.url)
        assert through[0] == 200
        assert through[2].count(b"data: ") >= direct[2].count(b"data: ") - 1
        assert gateway.idle()


@pytest.mark.parametrize("fault", ["slow:0.05", "split:7", "split:1", "crlf", "vanish"])
def test_odd_ways_to_send_change_nothing(fault):
    with fake_engine(step_ms=1) as fake, running(fake.url) as gateway:
        answers = asking(*[chat(6, fault, stream=True)] * 3, url=gateway.url)
        for status, _, body in answers:
            assert status == 200
            told = [line for line in body.replace(b"\r", b"").split(b"\n\n") if line]
            assert told[-1] == b"data: [DONE]"
            assert len(told) == len(events(body.replace(b"\r", b"")))
            assert all(event["choices"] for event in events(body.replace(b"\r", b""))[:-1])
        assert gateway.idle()


def test_an_engine_that_says_nothing_is_given_up():
    with fake_engine() as fake, running(fake.url, silence_timeout=0.5) as gateway:
        started = time.monotonic()
        ((status, _, body),) = asking(chat(5, "hang"), url=gateway.url)
        assert status == 502
        assert time.monotonic() - started < 5
        assert "took too long" in error_of(body)["message"]
        ((status, _, body),) = asking(chat(9, "hang:3", stream=True), url=gateway.url)
        assert status == 200
        assert events(body)[-1]["error"]["code"] == 502
        until(gateway.idle)


def test_an_engine_that_goes_is_taken_out_and_comes_back():
    with fake_engine() as fake, running(fake.url) as gateway:
        fake.down()
        answers = [asking(chat(2), url=gateway.url)[0][0] for _ in range(6)]
        assert set(answers) <= {502, 503}
        until(lambda: asking(chat(2), url=gateway.url)[0][0] == 503)
        fake.up()
        until(lambda: gateway.call(lambda: gateway.gateway.up), 20)
        assert asking(chat(2), url=gateway.url)[0][0] == 200
        assert gateway.idle()


def test_who_waits_while_the_engine_is_away_is_served_when_it_is_back():
    with fake_engine(step_ms=20, slots=1) as fake, running(fake.url, in_flight=1) as gateway:
        found = []
        bodies = [chat(150, stream=True), *[chat(2)] * 5]
        thread = threading.Thread(target=lambda: found.extend(asking(*bodies, url=gateway.url)))
        thread.start()
        until(lambda: gateway.call(lambda: len(gateway.gateway.dispatcher.queue)) == 5)
        fake.down()
        time.sleep(0.3)
        fake.up()
        thread.join(30)
        statuses = [status for status, _, _ in found]
        assert statuses.count(200) >= 1
        assert set(statuses) <= {200, 502, 503}
        until(gateway.idle)


def test_the_least_expected_work_goes_first_to_the_engine_that_has_it():
    with fake_engine(step_ms=5) as one, fake_engine(step_ms=5) as two, running(one.url, two.url) as gateway:
        hints = [400, 1, 1, 1, 1, 1]
        bodies = [chat(n, vllm_xargs={"soonest_forecast": [n, n, n]}, stream=True) for n in hints]
        asking(*bodies, url=gateway.url)
        counts = sorted((one.seen()["finished"], two.seen()["finished"]))
        assert counts[0] in {1, 2}


def test_a_body_reaches_the_engine_byte_for_byte_when_nothing_is_added():
    raw = b'{"model" : "m","messages":[{"role":"user","content":"tokens=2"}],  "x":12345678901234567890123, "x":2.50}'
    with fake_engine() as fake, running(fake.url, hints=False) as gateway:
        asking(raw, url=gateway.url)
        direct = fake.seen()["bodies"][-1]
        asking(raw, url=fake.url)
        assert fake.seen()["bodies"][-1] == direct


def test_every_other_path_is_passed_on():
    with fake_engine() as fake, running(fake.url) as gateway:
        ((status, _, body),) = asking(chat(2), url=gateway.url, path="/tokenize")
        assert status == 200
        assert json.loads(body)["count"] > 0
        assert asking(b"{}", url=gateway.url, path="/v1/nothing?x=%2F")[0][0] == 404
        assert gateway.idle()


def test_an_engine_that_dies_in_the_middle_again_and_again_is_taken_out():
    with fake_engine(step_ms=1) as fake, running(fake.url) as gateway:
        for _ in range(3):
            asking(chat(20, "die:3", stream=True), url=gateway.url)
        assert asking(chat(2), url=gateway.url)[0][0] == 503
        until(lambda: gateway.call(lambda: gateway.gateway.up), 20)
        assert asking(chat(2), url=gateway.url)[0][0] == 200


@pytest.mark.parametrize(("fault", "failures"), [("status:500", 2), ("status:503", 2), ("status:404", 0), ("", 0)])
def test_an_error_that_is_passed_on_is_no_success_of_its_engine(fault, failures):
    with fake_engine() as fake, running(fake.url) as gateway:
        breaker = next(iter(gateway.gateway.backends.values())).engine.breaker
        gateway.call(lambda: setattr(breaker, "failures", 2))
        headers = {"x-fault": fault} if fault else {}
        ((status, _, _),) = asking(chat(2), url=gateway.url, path="/tokenize", **headers)
        assert status == int(fault.partition(":")[2] or 200)
        until(lambda: gateway.call(lambda: breaker.failures) == failures)


def test_one_whose_retry_waits_blocks_nobody():
    with (
        fake_engine(step_ms=1) as bad,
        fake_engine(step_ms=1) as good,
        running(bad.url, good.url, in_flight=1) as gateway,
    ):
        bodies = [chat(5, "status:503"), *[chat(5)] * 10]
        statuses = [answer[0] for answer in asking(*bodies, url=gateway.url)]
        assert statuses[1:] == [200] * 10
        until(gateway.idle)


@pytest.mark.parametrize("priority", [1, -1, 20_000_000, -(1 << 62), 1 << 62, 10**30])
def test_any_number_may_stand_in_the_priority_field(priority):
    with (
        fake_engine(priority=True) as fake,
        running(fake.url, policy="shortest", mode="priority", in_flight=None) as gateway,
    ):
        assert asking(chat(2, priority=priority), url=gateway.url)[0][0] == 200


def test_names_that_clients_invent_become_no_labels():
    with fake_engine() as fake, running(fake.url) as gateway:
        asking(*[chat(1, model=f"invented-{i}") for i in range(30)], chat(1, model="fake"), url=gateway.url)
        said = gateway.call(lambda: gateway.gateway.metrics.render()[0]).decode()
        assert "invented" not in said
        assert 'model_name="fake"' in said


def test_a_request_that_names_no_model_counts_for_the_one_that_is_served_while_it_waits_and_runs():
    with fake_engine() as fake, running(fake.url, in_flight=1) as gateway:
        nameless = chat(5, "hang")
        del nameless["model"]
        found = []
        thread = threading.Thread(target=lambda: found.extend(asking(*[nameless] * 2, url=gateway.url)))
        thread.start()
        until(lambda: gateway.call(lambda: len(gateway.gateway.dispatcher.queue)) == 1)
        said = gateway.call(lambda: gateway.gateway.metrics.render()[0]).decode().splitlines()
        fake.down()
        thread.join(30)
    for name in ("waiting", "running"):
        (line,) = (line for line in said if line.startswith(f"soonest_num_requests_{name}{{"))
        assert 'model_name="fake"' in line
        assert line.endswith(" 1.0")


def test_more_choices_than_any_engine_runs_are_a_large_request_not_a_small_one():
    with fake_engine() as fake, running(fake.url) as gateway:
        asking(chat(1, n=2000), url=gateway.url)
        until(gateway.idle)


def test_a_request_that_an_engine_cannot_bear_does_not_take_it_out():
    with fake_engine() as fake, running(fake.url) as gateway:
        for _ in range(3):
            assert asking(chat(2, "refuse"), url=gateway.url)[0][0] == 502
            assert asking(chat(2), url=gateway.url)[0][0] == 200

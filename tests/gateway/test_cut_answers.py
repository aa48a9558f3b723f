"""Answers that break off, end oddly, or are not fetched: told once, and no place is held for them."""

import gzip
import json
import time

import pytest
from tests.gateway.clients import CHAT, chat, until
from tests.gateway.raw import answer, chunk, connect, engine, post
from tests.gateway.running import running

from soonest.data.journal import read_journal
from soonest.gateway.journal import journal

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
LARGE = 16 << 20
STREAMED = post(CHAT, json.dumps(chat(2, stream=True)).encode())


def asked(url, **more):
    return answer(url, b"POST %b HTTP/1.1" % CHAT.encode(), json.dumps(chat(2, stream=True, **more)).encode())


def breaker(gateway):
    return gateway.call(lambda: next(iter(gateway.gateway.backends.values())).engine.breaker.failures)


def success(gateway):
    return gateway.call(lambda: dict(gateway.gateway.series("m").success.counts))


def test_a_compressed_stream_that_breaks_off_is_not_begun_again(caplog):
    half = chunk(gzip.compress(EVENT * 100)[:20])
    with (
        engine(STREAM + b"content-encoding: gzip\r\n\r\n" + half, reset=True) as cut,
        running(cut.url) as gateway,
    ):
        said = asked(gateway.url)
        until(gateway.idle)
        assert cut.asked == 1
        assert said.count(b"HTTP/1.1") == 1
        assert half in said
        assert not said.endswith(b"0\r\n\r\n"), "the client can see that it is not whole"
        assert success(gateway) == {"error": 1}
        assert breaker(gateway) == 1
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("strict", [False, True])
def test_what_happens_after_an_answer_s_end_is_none_of_it(tmp_path, strict):
    parts = (STREAM + b"\r\n" + chunk(EVENT), chunk(EVENT + LAST + DONE))
    kept = {"journal": journal(str(tmp_path / "j.db"), strict=strict)}
    with engine(*parts, reset=True) as cut, running(cut.url, parts=kept) as gateway:
        said = asked(gateway.url)
        until(gateway.idle)
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(chunk(b"")), "it is whole"
        assert DONE in said
        assert b"error" not in said
        assert cut.asked == 1
        assert success(gateway) == {"stop": 1}
        assert breaker(gateway) == 0
    (row,) = read_journal(tmp_path / "j.db")
    assert (row.outcome, row.finish_reason, row.output_tokens) == ("finished", "stop", 3)


@pytest.mark.parametrize("strict", [False, True])
def test_a_client_that_leaves_with_the_last_event_had_its_answer(tmp_path, strict):
    """As OpenAI's client does, while the engine has not ended its body yet."""
    parts = (STREAM + b"\r\n" + chunk(EVENT), chunk(EVENT + LAST + DONE), b"", b"", b"", chunk(b""))
    kept = {"journal": journal(str(tmp_path / "j.db"), strict=strict)}
    with engine(*parts) as slow, running(slow.url, parts=kept) as gateway:
        with connect(gateway.url) as leaving:
            leaving.sendall(STREAMED)
            said = b""
            while DONE not in said:
                said += leaving.recv(1 << 16)
        until(gateway.idle)
        assert success(gateway) == {"stop": 1}
    (row,) = read_journal(tmp_path / "j.db")
    assert (row.outcome, row.finish_reason, row.output_tokens) == ("finished", "stop", 3)


def test_the_next_request_on_a_connection_is_its_own_though_the_last_one_s_engine_has_not_ended(monkeypatch):
    monkeypatch.setattr("soonest.gateway.life.relay.REST", 0.3)
    first = (STREAM + b"\r\n" + chunk(EVENT + LAST + DONE), *[b""] * 10)
    second = (STREAM + b"\r\n" + chunk(EVENT), *[chunk(EVENT)] * 300)
    with engine(*first, then=second) as slow, running(slow.url, in_flight=2) as gateway:
        with connect(gateway.url) as client:
            client.sendall(STREAMED)
            said = b""
            while not said.endswith(chunk(b"")):
                said += client.recv(1 << 16)
            client.sendall(STREAMED)
            until(lambda: slow.asked == 2)
            time.sleep(0.6)  # the first one's rest is over
        until(lambda: success(gateway) == {"stop": 1, "abort": 1})
        until(gateway.idle)


def test_an_engine_that_never_ends_its_body_holds_nothing_once_the_answer_is_over(monkeypatch):
    monkeypatch.setattr("soonest.gateway.life.relay.REST", 8.0)
    parts = (STREAM + b"\r\n" + chunk(EVENT + LAST + DONE), *[b""] * 80)
    with engine(*parts) as endless, running(endless.url, in_flight=1) as gateway:
        assert asked(gateway.url).endswith(chunk(b""))
        until(gateway.idle, 4)
        assert success(gateway) == {"stop": 1}
        assert breaker(gateway) == 0


@pytest.mark.parametrize(("status", "counted"), [(400, "refused"), (503, "error")])
def test_a_client_that_does_not_fetch_an_error_holds_no_place(status, counted, capfd):
    head = b"HTTP/1.1 %d X\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % (status, LARGE)
    request = post(CHAT, json.dumps(chat(2)).encode())
    with engine(head + b" " * LARGE) as wordy, running(wordy.url, in_flight=1) as gateway:
        with connect(gateway.url, buffer=4096) as slow:
            slow.sendall(2 * request)  # the second answer waits behind the first
            (place,) = gateway.gateway.dispatcher.places
            until(lambda: wordy.asked == 2 and not place.in_flight)
            until(lambda: success(gateway) == {counted: 2})
            assert gateway.call(lambda: len(gateway.gateway.lives)) == 1, "it is still being told"
        until(gateway.idle)
    assert "ASGI" not in capfd.readouterr().err

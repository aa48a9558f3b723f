"""Clients that leave, send nonsense or too much: nothing is held for them, and nobody else notices."""

import asyncio
import io
import json
import random
import socket
import time
import urllib.parse

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import CHAT, ask, asking, chat, error_of, run, until
from tests.gateway.raw import connect, post
from tests.gateway.running import running


def connection(url, body, path=CHAT):
    """A socket on which a request was just sent."""
    made = connect(url)
    made.sendall(post(path, json.dumps(body).encode()))
    return made


def test_a_client_that_leaves_while_its_answer_streams_frees_its_slot_at_once():
    with fake_engine(step_ms=20, slots=1) as fake, running(fake.url, in_flight=1) as gateway:
        leaving = connection(gateway.url, chat(10_000, stream=True))
        until(lambda: fake.seen()["running"] == 1)
        leaving.close()
        until(lambda: fake.seen()["cancelled"] == 1)
        assert asking(chat(2), url=gateway.url)[0][0] == 200
        until(gateway.idle)


def test_a_client_that_leaves_before_its_answer_began_frees_it_too():
    with fake_engine(step_ms=20, slots=1) as fake, running(fake.url, in_flight=1) as gateway:
        leaving = connection(gateway.url, chat(10_000))
        until(lambda: fake.seen()["running"] == 1)
        leaving.close()
        until(lambda: fake.seen()["cancelled"] == 1)
        until(gateway.idle)


def test_a_client_that_leaves_the_queue_never_reaches_the_engine():
    with fake_engine(step_ms=20, slots=1) as fake, running(fake.url, in_flight=1) as gateway:
        first = connection(gateway.url, chat(10_000, stream=True))
        until(lambda: fake.seen()["running"] == 1)
        waiting = [connection(gateway.url, chat(2)) for _ in range(5)]
        until(lambda: gateway.call(lambda: len(gateway.gateway.dispatcher.queue)) == 5)
        for one in waiting[:4]:
            one.close()
        until(lambda: gateway.call(lambda: len(gateway.gateway.dispatcher.queue)) == 1)
        first.close()
        assert waiting[4].recv(100).startswith(b"HTTP/1.1 200")
        waiting[4].close()
        until(gateway.idle)
        assert fake.engine.requests[CHAT] == 2


def test_who_waits_when_the_gateway_ends_is_told_so():
    with fake_engine(step_ms=20, slots=1) as fake, running(fake.url, in_flight=1) as gateway:
        with connection(gateway.url, chat(10_000, stream=True)):
            until(lambda: fake.seen()["running"] == 1)
            with connection(gateway.url, chat(2)) as waiting:
                until(lambda: gateway.call(lambda: len(gateway.gateway.dispatcher.queue)) == 1)

                def end():
                    gateway.gateway.draining = True
                    for life in gateway.gateway.lives:
                        if life.ticket.place is None:
                            gateway.gateway.turns.give_up(life.ticket)

                gateway.call(end)
                said = waiting.recv(1000)
        assert said.startswith(b"HTTP/1.1 503")
        assert b"the gateway is stopping" in said
        until(gateway.idle)


@pytest.mark.parametrize("path", [CHAT, "/v1/echo"])
def test_a_request_that_the_server_itself_ends_takes_all_with_it(path):
    """As a server does that waits for nobody at its end."""

    def tasks(name):
        return [task for task in asyncio.all_tasks() if name in repr(task.get_coro())]

    with fake_engine() as fake, running(fake.url) as gateway:
        fake.fault = "hang"
        with connection(gateway.url, chat(2), path):
            until(lambda: fake.engine.requests[path] == 1)
            gateway.call(lambda: [task.cancel() for task in tasks("run_asgi")])
            until(lambda: not gateway.call(lambda: tasks("_pass") + tasks("run_asgi")))
            until(gateway.idle)


def test_a_client_that_stops_reading_is_ended():
    with fake_engine(slots=1) as fake, running(fake.url, in_flight=1, client_timeout=1.0) as gateway:
        slow = connection(gateway.url, chat(100_000, stream=True))
        until(lambda: gateway.call(lambda: gateway.gateway.series("m").success.counts.get("abort")) == 1, 20)
        until(gateway.idle)
        slow.close()


def test_a_body_that_never_comes_is_not_waited_for():
    with fake_engine() as fake, running(fake.url, client_timeout=0.3) as gateway:
        host = urllib.parse.urlsplit(gateway.url)
        with socket.create_connection((host.hostname, host.port), timeout=10) as slow:
            slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        until(gateway.idle)


@pytest.mark.parametrize("path", [CHAT, "/v1/echo"])
def test_bodies_that_come_slowly_are_counted_all_together(monkeypatch, path):
    monkeypatch.setattr("soonest.gateway.intake.MOST_HELD", 100_000)
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" % path.encode()
    with fake_engine() as fake, running(fake.url) as gateway:
        with connect(gateway.url) as slow:
            for part in (head, *[b" " * 1000] * 80):
                slow.sendall(part)
            until(lambda: gateway.call(lambda: gateway.gateway.held_bytes) == 80_000)
            with connect(gateway.url) as other:
                other.sendall(head + b" " * 40_000)
                assert other.recv(100).startswith(b"HTTP/1.1 429")
            until(lambda: gateway.call(lambda: gateway.gateway.held_bytes) == 80_000)
        until(lambda: gateway.call(lambda: gateway.gateway.held_bytes) == 0)


@pytest.mark.parametrize("told", [True, False])
def test_a_body_beyond_the_limit_is_refused_before_it_is_read(told):
    async def main(url):
        async def parts():
            for _ in range(1000):
                yield b" " * 10_000

        async with aiohttp.ClientSession() as session:
            data = io.BytesIO(b" " * 2_000_000) if told else parts()
            try:
                async with session.post(url + CHAT, data=data) as response:
                    return response.status
            except aiohttp.ClientOSError:  # it was closed while we still sent
                return 413

    with fake_engine() as fake, running(fake.url, body_limit=1_000_000) as gateway:
        assert run(main(gateway.url)) == 413
        until(gateway.idle)


ODD = [
    b"",
    b"[]",
    b"null",
    b"{",
    b'{"a":NaN}',
    b"\xff\xfe",
    b'{"messages":' + b"[" * 100_000,
    b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"n":' + b"9" * 5000 + b"}",
    b'{"messages":[],"vllm_xargs":{"soonest_forecast":[1,2,' + b"9" * 400 + b"]}}",
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_a_malformed_body_is_a_400_or_the_engine_s_to_judge(body):
    with fake_engine() as fake, running(fake.url) as gateway:
        started = time.monotonic()
        ((status, _, said),) = asking(body, url=gateway.url)
        assert 400 <= status < 500 or status == 200
        if status == 400:
            assert error_of(said)["message"]
        assert time.monotonic() - started < 10
        assert gateway.idle()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = [
    "messages", "prompt", "model", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "priority",
    "temperature", "vllm_xargs", "custom_params", "min_tokens", "tools", "user",
]  # fmt: skip


def test_whatever_stands_in_the_fields_the_gateway_answers_and_holds_nothing():
    with fake_engine() as fake, running(fake.url) as gateway:
        loop = asyncio.new_event_loop()
        session = loop.run_until_complete(_session())

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6), st.booleans())
        def fuzz(fields, completions):
            path = "/v1/completions" if completions else CHAT
            raw = json.dumps(fields).encode("utf-8", "surrogatepass")
            status, _, _ = loop.run_until_complete(ask(session, gateway.url, raw, path))
            assert status < 500, (status, fields)

        fuzz()
        loop.run_until_complete(session.close())
        loop.close()
        assert gateway.idle()


async def _session():
    return aiohttp.ClientSession()


@pytest.mark.slow
def test_random_comings_and_goings_leave_nothing_behind():
    """20,000 requests, a third of which leave at a random moment."""
    rng = random.Random(1)  # noqa: S311 - which of them leave, and when

    async def one(session, url):
        body = chat(rng.randint(1, 12), stream=rng.random() < 0.7)
        try:
            async with asyncio.timeout(rng.uniform(0, 0.15) if rng.random() < 0.33 else 60):
                return (await ask(session, url, body))[0]
        except TimeoutError:
            return 0

    async def wave(gateway, n):
        places = asyncio.Semaphore(100)

        async def within(session):
            async with places:
                return await one(session, gateway.url)

        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            return await asyncio.gather(*(within(session) for _ in range(n)))

    import psutil

    with fake_engine(slots=8, step_ms=0.5) as fake, running(fake.url, policy="shortest", in_flight=8) as gateway:
        process, sizes = psutil.Process(), []
        for _ in range(5):
            statuses = run(wave(gateway, 4000))
            assert set(statuses) == {0, 200}
            until(gateway.idle, 20)
            sizes.append(process.memory_info().rss)
        assert fake.seen()["running"] == 0
        assert sizes[-1] - sizes[1] < 30e6, sizes

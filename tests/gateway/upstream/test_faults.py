"""Every fault of an engine is told as what it is."""

import asyncio

import pytest
from tests.gateway.upstream.talk import (
    HEADERS,
    POST,
    answered,
    body,
    opened,
    read_request,
    server,
    talk,
    until,
)

from soonest.gateway.upstream import BROKEN, Engine, EngineError, EngineTimeoutError
from soonest.gateway.wire import Events


@pytest.mark.parametrize("fault", ["refuse", "die", "vanish"])
def test_an_engine_that_gives_no_answer_is_told_from_one_that_does(fault):
    async def conversation(engine, fake):
        fake.fault = fault
        if fault == "vanish":
            return [(await answered(engine))[0].status for _ in range(3)]
        with pytest.raises(EngineError, match="gave no answer") as told:
            await answered(engine)
        assert not isinstance(told.value, EngineTimeoutError)
        return fake.seen()["requests"]

    assert talk(conversation) == ([200] * 3 if fault == "vanish" else 1)


def test_an_engine_that_is_not_there_is_told():
    async def conversation(engine, fake):
        fake.down()
        with pytest.raises(EngineError, match="gave no answer"):
            await answered(engine)
        fake.up()
        return (await answered(engine))[0].status

    assert talk(conversation) == 200


def test_an_engine_that_hangs_is_late():
    async def conversation(engine, fake):
        fake.fault = "hang"
        with pytest.raises(EngineTimeoutError, match="too long"):
            await answered(engine)
        await until(lambda: fake.seen()["cancelled"] == 1)

    talk(conversation, read_timeout=0.1)


@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_dies_on_the_way_breaks_the_answer(after, stream):
    async def conversation(engine, fake):
        fake.fault = f"die:{after}"
        response = await engine.request(*POST, HEADERS, body("tokens=9", stream=stream))
        events = Events()
        out = []
        with pytest.raises(BROKEN):  # noqa: PT012 - it may break at any read
            async for data in response.content.iter_any():
                out.append(events.feed(data))  # noqa: PERF401 - what came before it broke is kept
        response.close()
        return b"".join(out)

    out = talk(conversation, step_ms=1)
    assert out.count(b"data: ") <= after
    assert b"[DONE]" not in out


def test_a_stream_that_goes_silent_is_late():
    async def conversation(engine, fake):
        fake.fault = "hang:2"
        response = await engine.request(*POST, HEADERS, body("tokens=9", stream=True))
        with pytest.raises(BROKEN) as told:
            await response.read()
        response.close()
        assert isinstance(told.value, TimeoutError)

    talk(conversation, step_ms=1, read_timeout=2.0)


@pytest.mark.parametrize("fault", ["split:1", "split:7", "slow:0.01", "crlf", "garbage:2", "error:2"])
def test_odd_streams_pass_as_they_come(fault):
    async def conversation(engine, fake):
        plain = (await answered(engine, raw=body("tokens=4", stream=True)))[1]
        fake.fault = fault
        events = Events()
        response = await engine.request(*POST, HEADERS, body("tokens=4", stream=True))
        out = b"".join([events.feed(data) async for data in response.content.iter_any()]) + events.end()
        response.release()
        return plain, out, events

    plain, out, events = talk(conversation)
    if fault == "garbage:2":
        assert out.endswith(b"this is no event {{{\n\n")
        assert not events.done
    elif fault == "error:2":
        assert events.failed
    else:
        assert without_id(out.replace(b"\r\n", b"\n")) == without_id(plain)
        assert (events.chunks, events.done, events.finish) == (4, True, "stop")


def without_id(stream):
    return [event[event.find(b'"object"') :] for event in stream.split(b"\n\n")]


def test_an_answer_that_is_no_http_is_an_error():
    async def run():
        async def handle(reader, writer):
            await read_request(reader)
            writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")

        async with server(handle) as url, opened() as client:
            with pytest.raises(EngineError):
                await answered(Engine(url, client))

    asyncio.run(run())

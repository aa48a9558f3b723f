"""Connections are kept and used again, and ended when nobody waits any more."""

import asyncio
import contextlib

import pytest
from tests.gateway.upstream.talk import (
    HEADERS,
    POST,
    answered,
    body,
    opened,
    read_request,
    reply,
    server,
    talk,
    until,
)

from soonest.gateway.upstream import Engine, EngineError


def test_a_connection_is_used_again():
    async def conversation(engine, fake):
        for _ in range(20):
            await answered(engine)
            await answered(engine, raw=body(stream=True))
        return fake.seen()

    seen = talk(conversation)
    assert (seen["requests"], seen["opened"]) == (40, 1)


def test_many_run_at_once():
    async def conversation(engine, _):
        answers = await asyncio.gather(*(answered(engine, raw=body(f"{i} tokens=4", stream=True)) for i in range(200)))
        return [raw.count(b"content") for _, raw in answers]

    assert talk(conversation, slots=64, step_ms=1) == [5] * 200


@pytest.mark.parametrize("streamed", [False, True])
def test_cancelling_ends_the_engines_work_at_once(streamed):
    async def conversation(engine, fake):
        task = asyncio.create_task(answered(engine, raw=body("tokens=100000", stream=streamed)))
        await until(lambda: fake.seen()["running"] == 1)
        if streamed:
            await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await until(lambda: fake.seen()["running"] == 0)
        return fake.seen(), engine.breaker.failures

    seen, failures = talk(conversation, step_ms=1)
    assert (seen["cancelled"], seen["connections"], failures) == (1, 0, 0)


def test_closing_a_response_ends_the_engines_work_at_once():
    async def conversation(engine, fake):
        response = await engine.request(*POST, HEADERS, body("tokens=100000", stream=True))
        await response.content.readany()
        response.close()
        await until(lambda: fake.seen()["cancelled"] == 1)
        return (await answered(engine))[0].status

    assert talk(conversation, step_ms=1) == 200


def stale(end, *, first=b"", always=False):
    """A server that ends a connection at its second request, or at every one."""
    heads = []

    async def handle(reader, writer):
        served = 0
        while True:
            head, _ = await read_request(reader)
            heads.append(head)
            if served or always:
                writer.write(first)
                if first:
                    await writer.drain()
                    await asyncio.sleep(0.05)
                if end == "reset":
                    writer.transport.abort()
                return
            served += 1
            writer.write(reply(b"{}"))

    return handle, heads


async def asked_twice(handle):
    async with server(handle) as url, opened() as client:
        engine = Engine(url, client)
        return [(await answered(engine))[0].status for _ in range(2)], engine.breaker.failures


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_kept_connection_that_turns_out_dead_is_no_error(end):
    handle, heads = stale(end)
    assert asyncio.run(asked_twice(handle)) == ([200, 200], 0)
    assert len(heads) == 3


def test_what_has_begun_to_answer_is_not_asked_again():
    handle, heads = stale("close", first=b"HTTP/1.1 200 OK\r\nx-half: ")
    with pytest.raises(EngineError):
        asyncio.run(asked_twice(handle))
    assert len(heads) == 2


def test_a_new_connection_that_dies_is_not_asked_again():
    handle, heads = stale("close", always=True)
    with pytest.raises(EngineError):
        asyncio.run(asked_twice(handle))
    assert len(heads) == 1


def test_a_client_that_is_not_open_says_so():
    from soonest.gateway.upstream import Client

    with pytest.raises(EngineError, match="not open"):
        asyncio.run(answered(Engine("http://127.0.0.1:1", Client())))

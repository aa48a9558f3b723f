"""Over real TCP: bytes and headers go through as they are."""

import asyncio
import gzip
import hashlib
import random

import pytest
from tests.gateway.upstream.talk import (
    HEADERS,
    answered,
    body,
    opened,
    read_request,
    reply,
    server,
    talk,
)

from soonest.gateway.upstream import Engine, response_headers

TEN_MB = random.Random(1).randbytes(10_000_000)  # noqa: S311 - no secret


def test_large_bodies_pass_untouched_both_ways():
    async def conversation(engine, fake):
        _, raw = await answered(engine, path="/echo", raw=TEN_MB)
        return raw, fake.seen()["last"]

    raw, last = talk(conversation)
    assert raw == TEN_MB
    assert (last["length"], last["sha256"]) == (len(TEN_MB), hashlib.sha256(TEN_MB).hexdigest())


def test_a_body_may_come_in_parts():
    async def parts():
        for _ in range(10):
            yield b"x" * 1000

    async def conversation(engine, _):
        return (await answered(engine, path="/echo", raw=parts()))[1]

    assert talk(conversation) == b"x" * 10_000


def test_headers_go_on_but_those_of_the_connection():
    sent = [
        (b"host", b"gateway.example"),
        (b"authorization", b"Bearer secret"),
        (b"x-two", b"1"),
        (b"x-two", b"2"),
        (b"x-odd", "é".encode()),
        (b"accept-encoding", b"br"),
        (b"connection", b"keep-alive, X-Mine"),
        (b"x-mine", b"1"),
        (b"te", b"trailers"),
        (b"expect", b"100-continue"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"77"),
        (b"x-request-id", b"theirs"),
        (b"cookie", b"a=b"),
    ]

    async def conversation(engine, fake):
        response, raw = await answered(engine, path="/echo?q=%2f+%41", headers=sent, raw=b"abc", request_id="ours")
        return fake, fake.seen()["last"], response_headers(response), raw

    fake, last, back, raw = talk(conversation)
    assert last["headers"] == [
        ["Host", fake.url.removeprefix("http://")],
        ["authorization", "Bearer secret"],
        ["x-two", "1"],
        ["x-two", "2"],
        ["x-odd", "é".encode().decode("latin-1")],
        ["accept-encoding", "br"],
        ["cookie", "a=b"],
        ["X-Request-Id", "ours"],
        ["Content-Length", "3"],
    ]
    assert last["path"] == "/echo?q=%2f+%41"
    assert [value for name, value in back if name == b"x-echo"] == [b"1", b"2"]
    assert dict(back)[b"content-length"] == b"3"
    assert raw == b"abc"


@pytest.mark.parametrize("raw", [None, b""])
def test_nothing_is_added_that_the_client_did_not_say(raw):
    async def conversation(engine, fake):
        await answered(engine, "GET", "/v1/models", [], raw)
        return fake.seen()["last"]

    assert [name for name, _ in talk(conversation)["headers"]] == ["Host"]


def test_a_readable_answer_is_asked_for_uncompressed():
    async def conversation(engine, fake):
        await answered(engine, headers=[*HEADERS, (b"accept-encoding", b"gzip, br")], readable=True)
        return dict(fake.seen()["last"]["headers"])

    assert talk(conversation)["Accept-Encoding"] == "identity"


def test_a_compressed_answer_stays_compressed():
    async def conversation(engine, _):
        response, raw = await answered(engine, raw=body(fault="", stream=False), headers=[(b"x-fault", b"gzip")])
        return response_headers(response), raw

    headers, raw = talk(conversation)
    assert (b"content-encoding", b"gzip") in headers
    assert dict(headers)[b"content-length"] == str(len(raw)).encode()
    assert b'"choices"' in gzip.decompress(raw)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_a_base_url_may_end_in_v1_or_not(path):
    async def conversation(engine, _):
        return (await answered(engine))[0].status

    assert talk(conversation, path=path) == 200


def test_a_base_url_may_have_a_prefix():
    async def run():
        paths = []

        async def handle(reader, writer):
            head, _ = await read_request(reader)
            paths.append(head.split(b" ")[1])
            writer.write(reply(b"{}"))

        async with server(handle) as url, opened() as client:
            for base in ("/a/b", "/a/b/v1/"):
                await answered(Engine(url + base, client), "GET", "/v1/models?x=1")
        return paths

    assert asyncio.run(run()) == [b"/a/b/v1/models?x=1"] * 2


def test_a_redirect_is_the_clients_affair():
    async def run():
        async def handle(reader, writer):
            await read_request(reader)
            writer.write(b"HTTP/1.1 307 X\r\nlocation: /there\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n")

        async with server(handle) as url, opened() as client:
            response, _ = await answered(Engine(url, client))
            return response.status, response_headers(response)

    status, headers = asyncio.run(run())
    assert status == 307
    assert (b"location", b"/there") in headers
    assert (b"set-cookie", b"a=b") in headers


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_engines_own_errors_pass_untouched(status):
    async def conversation(engine, fake):
        fake.fault = f"status:{status},retry:7"
        response, raw = await answered(engine)
        return response.status, dict(response_headers(response)), raw

    told, headers, raw = talk(conversation)
    assert told == status
    assert headers[b"retry-after"] == b"7"
    assert b"AsAskedError" in raw

"""What the tests of this folder share: an engine at hand, and a server that answers from a list."""

import asyncio
import contextlib
import json

from tests.fakes.engine import running

from soonest.gateway.upstream import Client, Engine

POST = ("POST", "/v1/chat/completions")
HEADERS = [(b"content-type", b"application/json"), (b"authorization", b"Bearer secret")]


def body(text="tokens=3", **more):
    return json.dumps({"messages": [{"role": "user", "content": text}], **more}).encode()


def talk(conversation, *, path="", read_timeout=None, key="", **options):
    """Run a conversation with a fake engine: it is given the engine as the gateway sees it, and the fake."""

    async def run(fake):
        async with opened(read_timeout=read_timeout) as client:
            return await conversation(Engine(fake.url + path, client, key=key), fake)

    with running(**options) as fake:
        return asyncio.run(run(fake))


@contextlib.asynccontextmanager
async def opened(**options):
    client = Client(**options)
    await client.open()
    try:
        yield client
    finally:
        await client.close()


async def answered(engine, method="POST", path="/v1/chat/completions", headers=HEADERS, raw=None, **options):
    """A whole answer: its status, headers and bytes."""
    raw = body() if raw is None and method == "POST" else raw
    response = await engine.request(method, path, headers, raw, **options)
    async with response:
        whole = await response.read()
    if response.status < 500:
        engine.breaker.succeeded()
    return response, whole


@contextlib.asynccontextmanager
async def looking(engine, every=0.02):
    """Look at an engine again and again."""

    async def look():
        while True:
            await engine.look()
            await asyncio.sleep(every)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(truth, seconds=5.0):
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not truth():  # noqa: ASYNC110 - what is awaited is another thread's
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def server(handle):
    """A server whose `handle(reader, writer)` speaks for itself; gives its URL."""
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handle(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


async def read_request(reader):
    """Head and body of the next request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return head, await reader.readexactly(length)


def reply(raw, status=200):
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(raw), raw)


@contextlib.asynccontextmanager
async def canned(routes, asked=None):
    """A server that answers each path with a JSON value, a text, or a status; `asked` collects path and body."""

    async def handle(reader, writer):
        while True:
            head, raw = await read_request(reader)
            path = head.split(b" ")[1].decode()
            if asked is not None:
                asked.append((path, json.loads(raw) if raw else None, head))
            found = routes.get(path, 404)
            if isinstance(found, int):
                writer.write(reply(b"{}", found))
            else:
                writer.write(reply(found.encode() if isinstance(found, str) else json.dumps(found).encode()))

    async with server(handle) as url:
        yield url

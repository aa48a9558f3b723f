"""What clients do to a gateway: ask, stream, leave."""

import asyncio
import json
import time

import aiohttp

CHAT = "/v1/chat/completions"


def chat(tokens=5, fault="", model="m", **more):
    """A body whose answer has so many tokens."""
    words = f"tokens={tokens}" + (f" fault={fault}" if fault else "")
    return {"model": model, "messages": [{"role": "user", "content": words}], **more}


async def ask(session, url, body, path=CHAT, **headers):
    """Status, headers and whole body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with session.post(url + path, data=data, headers=headers) as response:
        return response.status, response.headers, await response.read()


def asking(*bodies, url, path=CHAT, **headers):
    """All at once, each on its own connection; exceptions come back as they are."""

    async def main():
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=True) as session:
            return await asyncio.gather(
                *(ask(session, url, b, path, **headers) for b in bodies), return_exceptions=True
            )

    return run(main())


def run(work):
    """Run a client, and leave no connection behind, as one whose body was not all read would be."""

    async def main():
        try:
            return await work
        finally:
            for transport in list(asyncio.get_running_loop()._transports.values()):
                transport.abort()
            await asyncio.sleep(0)

    return asyncio.run(main())


def events(raw):
    """The data of each event, the last `[DONE]` as it is."""
    lines = [line[6:] for line in raw.decode().split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def error_of(raw):
    return json.loads(raw)["error"]


def until(holds, seconds=10.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.01)

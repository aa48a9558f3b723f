"""The least that a gateway on our HTTP stack can be: raw ASGI on uvicorn, aiohttp as the client, nothing between."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

import aiohttp
import uvicorn
import uvloop
from yarl import URL

from soonest.serving import listen

LEFT_OUT: Final = {b"host", b"content-length", b"connection", b"transfer-encoding"}


class Passing:
    """Hands bodies on as they come; no queue, no limits, no care for a client that goes away."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.urls: dict[str, URL] = {}
        self.session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if self.session is None:
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
            )
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        url = self.urls.get(scope["path"]) or self.urls.setdefault(scope["path"], URL(self.engine + scope["path"]))
        sent = [(name.decode(), value.decode()) for name, value in scope["headers"] if name not in LEFT_OUT]
        async with self.session.request(scope["method"], url, headers=sent, data=body) as response:
            said = [(name.lower(), value) for name, value in response.raw_headers if name.lower() not in LEFT_OUT]
            if "Content-Length" in response.headers:
                whole = await response.read()
                said.append((b"content-length", b"%d" % len(whole)))
                await send({"type": "http.response.start", "status": response.status, "headers": said})
                await send({"type": "http.response.body", "body": whole})
                return
            await send({"type": "http.response.start", "status": response.status, "headers": said})
            async for data in response.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def main(engine: str) -> None:
    """Serve until killed; says where on stdout."""
    config = uvicorn.Config(
        Passing(engine),
        http="httptools",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=75,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    with listen("127.0.0.1", 0) as listening:
        print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))

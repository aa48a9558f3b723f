"""Serve an engine until SIGTERM, then let what runs come to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from soonest.engines.server.app import Api
from soonest.serving import Server, listen, on_signal, run, say_ready

if TYPE_CHECKING:
    import socket

    from soonest.engines.embedded import Engine
    from soonest.predict import Forecasting

log = logging.getLogger("soonest.engine")
WATCH_SECONDS = 0.5
LAST_WORDS_SECONDS = 5.0


def serve(engine: Engine, host: str, port: int, *, forecasting: Forecasting | None, names: tuple[str, ...]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status: 1 if the engine died, else 0.

    Prints one line of JSON on stdout once requests are taken. The first signal drains, a second one ends at once.
    """
    with listen(host, port) as listening:
        return run(_serve(engine, listening, forecasting, names))


async def _serve(
    engine: Engine, listening: socket.socket, forecasting: Forecasting | None, names: tuple[str, ...]
) -> int:
    api = Api(engine, forecasting, names=names)
    server, signalled = Server(api.app()), asyncio.Event()

    def end() -> None:
        api.drain()
        signalled.set()

    on_signal(end, server.cut_off)
    try:
        engine.start()
        serving = await server.start(listening)
        say_ready(listening, model=api.names[0])
        while engine.alive and not signalled.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(signalled.wait(), WATCH_SECONDS)
        while engine.alive and api.busy and not server.force_exit:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(api.idle.wait(), WATCH_SECONDS)
        if died := not engine.alive:
            log.error("the generation thread has died; leaving")
            await _leave(server, api)
        await server.end(serving)
    finally:
        if engine.alive:
            await asyncio.to_thread(engine.stop)
        api.forecasting.close()
    return 1 if died else 0


async def _leave(server: Server, api: Api) -> None:
    """Whoever waits for an answer is told that there is none; then nobody is waited for any more."""
    api.drain()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(api.idle.wait(), LAST_WORDS_SECONDS)
    server.cut_off()

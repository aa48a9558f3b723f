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
    from soonest.engines.server.forecasting import Forecasting

log = logging.getLogger("soonest.engine")
WATCH_SECONDS = 0.5


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
        api.draining = True
        signalled.set()

    def end_now() -> None:
        server.force_exit = True

    on_signal(end, end_now)
    engine.start()
    serving = await server.start(listening)
    try:
        say_ready(listening, model=api.names[0])
        while engine.alive and not signalled.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(signalled.wait(), WATCH_SECONDS)
        while engine.alive and api.busy and not server.force_exit:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(api.idle.wait(), WATCH_SECONDS)
        died = not engine.alive
        if died:
            log.error("the generation thread has died; leaving")
        await server.end(serving)
    finally:
        if engine.alive:
            await asyncio.to_thread(engine.stop)
        api.forecasting.close()
    return 1 if died else 0

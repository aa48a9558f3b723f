"""Serve an engine until SIGTERM, then let what runs come to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from soonest.engines.embedded import EngineError
from soonest.engines.server.app import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soonest.engines.embedded import Engine
    from soonest.engines.server.forecasting import Forecasting

log = logging.getLogger("soonest.engine")
WATCH_SECONDS = 0.5


class _Server(uvicorn.Server):
    """Uvicorn, with signals left to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise EngineError(f"cannot listen on {host}:{port}: {error.strerror}; take another --port") from error
    made.listen(2048)
    return made


def serve(engine: Engine, host: str, port: int, *, forecasting: Forecasting | None, names: tuple[str, ...]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status: 1 if the engine died, else 0.

    Prints one line of JSON on stdout once requests are taken. The first signal drains, a second one ends at once.
    """
    with listen(host, port) as listening, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(engine, listening, forecasting, names))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - faster where it is installed
    except ImportError:
        return None
    return uvloop.new_event_loop  # type: ignore[no-any-return, return-value, unused-ignore]


async def _serve(
    engine: Engine, listening: socket.socket, forecasting: Forecasting | None, names: tuple[str, ...]
) -> int:
    api = Api(engine, forecasting, names=names)
    config = uvicorn.Config(
        api.app(), log_config=None, access_log=False, lifespan="off", timeout_keep_alive=75, server_header=False
    )
    server = _Server(config)
    signalled = asyncio.Event()

    def ask_to_end() -> None:
        if signalled.is_set():
            server.force_exit = True
        api.draining = True
        signalled.set()

    for wanted in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wanted, ask_to_end)
    engine.start()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        _say_ready(listening, api.names[0])
        while engine.alive and not signalled.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(signalled.wait(), WATCH_SECONDS)
        while engine.alive and api.busy and not server.force_exit:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(api.idle.wait(), WATCH_SECONDS)
        died = not engine.alive
        if died:
            log.error("the generation thread has died; leaving")
        server.should_exit = True
        await serving
    finally:
        if engine.alive:
            await asyncio.to_thread(engine.stop)
        api.forecasting.close()
    return 1 if died else 0


def _say_ready(listening: socket.socket, name: str) -> None:
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    sys.stdout.write(json.dumps({"url": url, "model": name}) + "\n")
    sys.stdout.flush()

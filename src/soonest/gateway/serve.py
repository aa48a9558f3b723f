"""Start a gateway, serve until asked to end, then let what lives come to its end."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Final

from soonest import __version__
from soonest.gateway.access import Access
from soonest.gateway.app import App
from soonest.gateway.gateway import Gateway
from soonest.gateway.observe import Metrics, RequestLog, Traces
from soonest.gateway.observe.watched import watch
from soonest.gateway.upstream import Client
from soonest.serving import Server, listen, on_signal, say_ready

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from soonest.core import Policy
    from soonest.gateway.journal import Journal
    from soonest.gateway.journal.savings import Savings
    from soonest.gateway.settings import Settings
    from soonest.predict import Predictor

LAST_WORDS: Final = 0.5
"""Seconds for what is said at the end."""
log = logging.getLogger("soonest.gateway")


async def serve(
    settings: Settings,
    policy: Policy,
    host: str,
    port: int,
    *,
    predictor: Predictor | None = None,
    journal: Journal | None = None,
    access: Access | None = None,
    otlp: str | None = None,
    lines: RequestLog | None = None,
    savings: Savings | None = None,
    restarts: Callable[[], Mapping[str, float]] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; a second signal ends at once. The exit status, 0.

    Once requests are taken, one line of JSON on stdout says where.
    """
    with listen(host, port) as listening:
        traces = None if otlp is None else Traces.to(otlp, policy.name, version=__version__)
        access = access or Access()
        metrics = Metrics(settings.policy, version=__version__, mode=settings.mode)
        client = Client(settings.connect_timeout, settings.silence_timeout)
        gateway = Gateway(
            settings,
            policy,
            client,
            access,
            metrics,
            lines or RequestLog(),
            predictor=predictor,
            journal=journal,
            traces=traces,
            savings=savings,
            restarts=restarts,
        )
        watch(metrics, gateway)
        await gateway.start()
        return await _until_asked(gateway, listening)


async def _until_asked(gateway: Gateway, listening: socket.socket) -> int:
    server, asked = Server(App(gateway, __version__), patience=gateway.settings.client_timeout), asyncio.Event()

    def end() -> None:
        log.info("stopping: no new requests, running ones end")
        gateway.draining = True
        asked.set()

    def end_now() -> None:
        """Whoever still waits is told so; who runs is cut off."""
        for life in list(gateway.lives):
            if life.ticket is not None and life.ticket.place is None:
                gateway.turns.give_up(life.ticket)
            else:
                life.leave()
        asyncio.get_running_loop().call_later(LAST_WORDS, server.cut_off)

    on_signal(end, end_now)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reload)
    serving = await server.start(listening)
    url = say_ready(listening, policy=gateway.settings.policy, mode=gateway.settings.mode)
    if gateway.live is not None:
        log.info("the live page is at %s/ui", url)
    await asked.wait()
    impatience = asyncio.get_running_loop().call_later(gateway.settings.drain_timeout, end_now)
    await gateway.drain()
    await server.end(serving)
    impatience.cancel()
    await gateway.stop()
    return 0

"""Looking after an engine: its metrics are read, and when it is down its health is."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from soonest.gateway.upstream.engine import Engine

QUIET: Final = 5.0  # seconds between probes of an engine that tells no metrics

log = logging.getLogger("soonest.gateway")


async def watch(
    engine: Engine,
    interval: float = 1.0,
    changed: Callable[[Engine], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Look after an engine until cancelled, every `interval` seconds; `changed` hears when it goes and comes back."""
    was = engine.healthy
    while True:
        await look(engine, clock)
        if engine.healthy is not was:
            was = engine.healthy
            log.warning("engine %s %s", engine.root, "is back" if was else "is taken out: it does not answer")
            if changed is not None:
                changed(engine)
        pause = interval if engine.dialect.metrics else max(interval, QUIET)
        await asyncio.sleep(min(pause, engine.breaker.wait(clock())))


async def look(engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
    """One look: at its state while it serves, at its health while it is taken out and a probe is due."""
    breaker = engine.breaker
    if breaker.open:
        if breaker.wait(clock()) <= 0:
            breaker.probed(clock(), well=await engine.probe())
        return
    await engine.detect()
    if await engine.state() is None and not await engine.probe():
        breaker.failed(clock())

"""One picture of the gateway a second, made once for all who look at it; none while nobody does."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import orjson

from soonest.gateway.ui.picture import picture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from soonest.gateway.gateway import Gateway
    from soonest.gateway.ui.live import Live

EVERY: Final = 1.0
"""Seconds between two pictures, at least."""
SHARE: Final = 200
"""After a picture that took t seconds of the processor comes a rest of so many t: no crowd makes the page costly."""
MOST_VIEWERS: Final = 32
GOODBYE: Final = b"event: goodbye\ndata: {}\n\n"
FAULT: Final = b"event: fault\ndata: {}\n\n"
"""No picture can be drawn, and the stream ends; the gateway goes on."""
log = logging.getLogger("soonest.gateway")


class Stream:
    """Hands server-sent events to whoever follows. A viewer that takes them slowly misses some, and delays nobody."""

    def __init__(self, gateway: Gateway, live: Live) -> None:
        self.viewers = 0
        self._gateway, self._live = gateway, live
        self._event = b""
        self._news = asyncio.Event()
        self._ended = False
        self._task: asyncio.Task[None] | None = None
        self._spent = 0.0

    @property
    def full(self) -> bool:
        """Whether as many look as may."""
        return self.viewers >= MOST_VIEWERS

    def end(self) -> None:
        """The gateway is about to end: tell whoever looks, so that no connection keeps it."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()
        self._tell(GOODBYE)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Somebody looks as long as this lasts."""
        self.viewers += 1
        try:
            yield
        finally:
            self.viewers -= 1

    async def follow(self, may: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Events, from now on until the gateway ends or the viewer may look no more; who follows must be `looking`."""
        if self._task is None and not self._ended:
            self._task = asyncio.create_task(self._draw())
        elif self._event:
            yield self._event  # what the others see now
        while not self._ended and self._task is not None:
            await self._news.wait()
            if not may():
                return
            yield self._event

    async def _draw(self) -> None:
        """Draw again and again while somebody looks."""
        try:
            while self.viewers:
                began = time.thread_time()
                found = picture(self._gateway, self._live)
                found["cost_ms"] = round(1000 * self._spent, 3)
                self._tell(b"event: picture\ndata: " + orjson.dumps(found) + b"\n\n")
                self._spent = time.thread_time() - began
                await asyncio.sleep(max(EVERY, SHARE * self._spent))
        except Exception:
            log.exception("the live page cannot be drawn")
            self._tell(FAULT)  # the page comes back after a while
        finally:
            self._task = None

    def _tell(self, event: bytes) -> None:
        """Wake all who follow."""
        self._event = event
        self._news.set()
        self._news = asyncio.Event()

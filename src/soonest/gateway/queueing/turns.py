"""Those who wait for their turn, on an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from soonest.gateway.queueing.dispatcher import Dispatcher, Ticket


class Turns:
    """Tells those who wait in a dispatcher's queue when they start.

    `wake` asks the dispatcher, once an iteration of the event loop, who starts now; everything that may let somebody
    start calls it.
    """

    def __init__(self, dispatcher: Dispatcher, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self._dispatcher, self._loop, self._now = dispatcher, loop, now
        self._waiting: dict[Ticket, asyncio.Future[bool]] = {}
        self._woken = False

    def turn(self, ticket: Ticket) -> asyncio.Future[bool]:
        """A future of whether it starts; it does not if it was given up."""
        future: asyncio.Future[bool] = self._loop.create_future()
        self._waiting[ticket] = future
        self.wake()
        return future

    def give_up(self, ticket: Ticket) -> None:
        """It has waited too long."""
        future = self._waiting.pop(ticket, None)
        if future is not None and not future.done():
            future.set_result(False)

    def forget(self, ticket: Ticket) -> None:
        """Nobody waits for its turn any more."""
        self._waiting.pop(ticket, None)

    def wake(self) -> None:
        """Let those start who may, once all that happens now has happened."""
        if self._waiting and not self._woken:
            self._woken = True
            self._loop.call_soon(self._admit)

    def _admit(self) -> None:
        self._woken = False
        for ticket in self._dispatcher.admit(self._now()):
            future = self._waiting.pop(ticket, None)
            if future is not None and not future.done():
                future.set_result(True)

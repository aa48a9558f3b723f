"""A gateway on an event loop in a thread, with its inside open to tests."""

import asyncio
import contextlib
import threading

from soonest.gateway.access import Access
from soonest.gateway.app import App
from soonest.gateway.gateway import Gateway
from soonest.gateway.observe import Metrics, RequestLog
from soonest.gateway.observe.watched import watch
from soonest.gateway.settings import Settings
from soonest.gateway.upstream import Client
from soonest.policies import policy
from soonest.serving import Server, listen


class Running:
    """Its URL, and calls into its loop."""

    def __init__(self, settings, parts, port):
        self.settings, self.parts, self.port = settings, parts, port
        self.started, self.stop = threading.Event(), None
        self.failure = None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    async def _main(self):
        try:
            with listen("127.0.0.1", self.port) as listening:
                client = Client(self.settings.connect_timeout, self.settings.silence_timeout)
                metrics = Metrics(self.settings.policy)
                parts = {"access": Access(), **self.parts}
                gateway = self.gateway = Gateway(
                    self.settings,
                    policy(self.settings.policy),
                    client,
                    parts.pop("access"),
                    metrics,
                    parts.pop("lines", None) or RequestLog(),
                    **parts,
                )
                watch(metrics, gateway)
                await gateway.start()
                server = Server(App(gateway, "test"), patience=self.settings.client_timeout)
                serving = await server.start(listening)
                self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
                self.started.set()
                await self.stop.wait()
                await gateway.drain()
                await server.end(serving)
                await gateway.stop()
        except BaseException as error:  # noqa: BLE001 - the test's own thread raises it
            self.failure = error
            self.started.set()

    def call(self, function):
        """Run a function on the gateway's loop."""

        async def inside():
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result(10)

    def idle(self):
        """Whether nothing is held any more."""
        gateway = self.gateway
        return self.call(
            lambda: (
                not gateway.lives
                and not gateway.turns._waiting
                and not len(gateway.dispatcher.queue)
                and not gateway.dispatcher._tickets
                and all(not b.place.running and not b.place.in_flight for b in gateway.backends.values())
            )
        )


@contextlib.contextmanager
def running(*engines, parts=None, port=0, **settings):
    """A gateway before these engines."""
    settings = {"in_flight": 4, "policy": "fcfs", "drain_timeout": 5.0, **settings}
    made = Running(Settings(engines=tuple(engines), **settings), parts or {}, port)
    made.thread.start()
    assert made.started.wait(20)
    if made.failure is not None:
        raise made.failure
    try:
        yield made
    finally:
        made.loop.call_soon_threadsafe(made.stop.set)
        made.thread.join(20)
        assert not made.thread.is_alive()
        if made.failure is not None:
            raise made.failure

"""How our servers listen, say that they are ready, and end on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


LEAVING: Final = "soonest.leaving"
"""Of an ASGI scope's extensions: a `Connection` that tells whoever serves it when its client has gone."""


HEAD: Final = b"HTTP/1."


class Joined:
    """A transport that sends an answer's head together with what is written next: one call, one segment.

    Where nothing follows at once, the head goes alone.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._head = transport, loop, b""

    def write(self, data: bytes) -> None:
        """Send, or keep if it is a head."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
            return
        self._transport.write(data)

    def close(self) -> None:
        """When all is sent."""
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """A connection that ends when its client does not take what it is sent for `patience` seconds.

    Whoever serves its request may let it call when the client goes away, which is cheaper than a task that waits for
    that message.
    """

    patience = 60.0
    _stuck: asyncio.TimerHandle | None = None
    _leave: Callable[[], None] | None = None
    _lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client."""
        super().connection_made(transport)
        self.transport = Joined(transport, self.loop)  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        """A request comes."""
        super().on_message_begin()
        self.scope["extensions"] = {LEAVING: self}  # type: ignore[dict-item]

    @property
    def whole(self) -> bool:
        """Whether all of the request that came last is here."""
        return self.cycle is not None and not self.cycle.more_body

    def tell(self, leave: Callable[[], None] | None) -> None:
        """Call `leave` once when the client has gone, perhaps before now; `None`: nobody wants to know any more."""
        self._leave = leave
        if leave is not None and self._lost:
            self.loop.call_soon(leave)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        super().connection_lost(exc)
        self._lost = True
        if self._stuck is not None:
            self._stuck.cancel()
        if self._leave is not None:
            self._leave()

    def pause_writing(self) -> None:
        """More waits to be sent than should; from now on the client's time runs."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self.patience, self.transport.abort)

    def resume_writing(self) -> None:
        """The client took enough of it."""
        if self._stuck is not None:
            self._stuck.cancel()
        super().resume_writing()


class Server(uvicorn.Server):
    """Uvicorn on a socket that listens already, with signals left to us.

    A client that takes nothing of what it is sent for `patience` seconds is cut off.
    """

    def __init__(self, app: Any, *, patience: float = 60.0) -> None:
        config = uvicorn.Config(
            app,
            http=type("Connection", (Connection,), {"patience": patience}),
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=75,
            server_header=False,
            date_header=False,
            proxy_headers=False,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn would end by the signal itself, and not with 0."""
        yield

    async def start(self, listening: socket.socket) -> asyncio.Task[None]:
        """Take requests; a task that ends when the server does."""
        serving = asyncio.create_task(self.serve(sockets=[listening]))
        while not self.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        return serving

    def cut_off(self) -> None:
        """Wait for nobody any more."""
        self.force_exit = True

    async def end(self, serving: asyncio.Task[None]) -> None:
        """Take no more, and let the connections close."""
        self.should_exit = True
        await serving


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Raises:
        OSError: the address is taken, or none of this machine, or none at all; the message says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(2048)
    except (OSError, OverflowError) as error:
        made.close()
        reason = error.strerror if isinstance(error, OSError) else "a port is a number from 0 to 65535"
        raise OSError(f"cannot listen on {host}:{port}: {reason}; take another --port") from error
    return made


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a server's main coroutine, on uvloop where it is installed; its exit status."""
    gc.set_threshold(20_000, 20, 20)
    gc.freeze()  # what is loaded by now stays: the collector need not look at it again
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def on_signal(first: Callable[[], None], second: Callable[[], None]) -> None:
    """Call `first` when the process is asked to end, and `second` when it is asked again."""
    asked = False

    def signalled() -> None:
        nonlocal asked
        (second if asked else first)()
        asked = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled)


def say_ready(listening: socket.socket, **facts: object) -> str:
    """Print one line of JSON on stdout, with the URL; other programs wait for it."""
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    sys.stdout.write(json.dumps({"url": url, **facts}) + "\n")
    sys.stdout.flush()
    return url

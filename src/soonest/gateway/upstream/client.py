"""The gateway's one HTTP client: bytes pass through untouched, connections are kept and used again."""

from __future__ import annotations

import io
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from soonest.core.errors import SoonestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from aiohttp import ClientRequest, ClientResponse
    from multidict import CIMultiDict
    from yarl import URL

BROKEN: Final = (aiohttp.ClientError, TimeoutError, OSError)
"""What reading an answer raises when its engine dies on the way."""
AUTOMATIC: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
LARGE: Final = 1 << 20  # bytes; larger bodies are handed over as a file, in parts
STALE_SECONDS: Final = 0.25
LONGEST_LINE: Final = 1 << 16  # bytes of one header

reused: ContextVar[bool] = ContextVar("reused", default=False)
"""Whether the connection that this task was last given had served before."""


class EngineError(SoonestError):
    """An engine that gave no answer: nothing was sent back, so another may be asked."""


class EngineTimeoutError(EngineError):
    """An engine that took too long to connect or to answer."""


class Connector(aiohttp.TCPConnector):
    """Keeps connections, and tells whether one is new."""

    async def connect(self, req: ClientRequest, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's
        """A connection for the request."""
        connection = await super().connect(req, traces, timeout)
        protocol: Any = connection.protocol
        reused.set(getattr(protocol, "served", False))
        protocol.served = True
        return connection


class Client:
    """A pool of connections to all engines, without limit: how many requests run is decided elsewhere.

    `connect_timeout` and `read_timeout` (between two reads, none = for ever) are in seconds. An engine that closes a
    kept connection just as it is used again is asked once more, on a new one, if nothing was sent back.
    """

    def __init__(self, connect_timeout: float = 5.0, read_timeout: float | None = None) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=read_timeout)
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Must run in the loop that uses it."""
        self._pooled = self._session(Connector(limit=0, keepalive_timeout=60.0, use_dns_cache=True))
        self._fresh = self._session(Connector(limit=0, force_close=True))

    def _session(self, connector: Connector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            auto_decompress=False,
            skip_auto_headers=AUTOMATIC,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._pooled, self._fresh):
            if session is not None:
                await session.close()

    async def send(
        self, method: str, url: URL, headers: CIMultiDict[str], body: bytes | AsyncIterable[bytes] | None = None
    ) -> ClientResponse:
        """Ask, and wait until the answer begins; raises `EngineError` if none does."""
        if self._pooled is None or self._fresh is None:
            raise EngineError("the client is not open")
        begun = time.monotonic()
        try:
            try:
                return await self._pooled.request(method, url, headers=headers, data=_data(body), allow_redirects=False)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                late = time.monotonic() - begun > STALE_SECONDS  # an engine that died at work is not to do it twice
                if late or not _was_stale(error) or not isinstance(body, bytes | None):
                    raise
                return await self._fresh.request(method, url, headers=headers, data=_data(body), allow_redirects=False)
        except TimeoutError as error:
            raise EngineTimeoutError(f"the engine at {url.origin()} took too long: {_said(error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineError(f"the engine at {url.origin()} gave no answer: {_said(error)}") from error


def _was_stale(error: Exception) -> bool:
    """Whether a kept connection turned out dead before a byte came back."""
    if isinstance(error, aiohttp.ClientConnectorError) or not reused.get():
        return False
    return not isinstance(error, aiohttp.ServerDisconnectedError) or isinstance(error.message, str)


def _data(body: bytes | AsyncIterable[bytes] | None) -> Any:
    if not isinstance(body, bytes):
        return body
    return io.BytesIO(body) if len(body) >= LARGE else body or None


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__

"""Headers on their way through: what belongs to one connection stays behind, everything else goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import ClientResponse

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    }
)
NOT_FORWARDED: Final = HOP_BY_HOP | {b"host", b"content-length", b"expect"}
"""The client's connection; the engine's own name and the body's length are written anew."""


def request_headers(
    headers: Iterable[tuple[bytes, bytes]], request_id: str = "", *, readable: bool = False
) -> CIMultiDict[str]:
    """What the engine is sent, from names in lower case as ASGI has them.

    `request_id` takes the place of the client's. With `readable` the engine is asked not to compress, so that the
    answer can be looked at.
    """
    listed = [*headers]
    dropped = NOT_FORWARDED | _named(listed)
    if request_id:
        dropped |= {b"x-request-id"}
    if readable:
        dropped |= {b"accept-encoding"}
    sent = CIMultiDict([(_text(name), _text(value)) for name, value in listed if name.lower() not in dropped])
    if request_id:
        sent["X-Request-Id"] = request_id
    if readable:
        sent["Accept-Encoding"] = "identity"
    return sent


def response_headers(response: ClientResponse) -> Headers:
    """What the client is sent, names in lower case; the length stays, since the bytes do."""
    raw = [(name.lower(), value) for name, value in response.raw_headers]
    dropped = HOP_BY_HOP | _named(raw)
    if response.headers.get("Transfer-Encoding"):
        dropped |= {b"content-length"}
    return [(name, value) for name, value in raw if name not in dropped]


def _named(headers: Headers) -> frozenset[bytes]:
    """Headers that `Connection` names as its own."""
    found = [value for name, value in headers if name.lower() == b"connection"]
    return frozenset(word.strip().lower() for value in found for word in value.split(b",")) if found else frozenset()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")

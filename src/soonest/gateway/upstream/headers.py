"""Headers on their way through: what belongs to one connection stays behind, everything else goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict

from soonest.core.errors import SoonestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import ClientResponse

Headers = list[tuple[bytes, bytes]]


class BadHeader(SoonestError):  # noqa: N818 - what it is, not that it is an error
    """A header that cannot be sent on as it came; the message says why, and is fit for the client."""


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
SKIPPED: Final = {
    (renamed, readable): NOT_FORWARDED
    | ({b"x-request-id"} if renamed else set())
    | ({b"accept-encoding"} if readable else set())
    for renamed in (False, True)
    for readable in (False, True)
}
PLAIN: Final = frozenset({b"", b",keep-alive", b",close", b",Keep-Alive"})
"""What `Connection` says nearly always, after a comma."""


def request_headers(
    headers: Iterable[tuple[bytes, bytes]], request_id: str | None = "", *, readable: bool = False
) -> CIMultiDict[str]:
    """What the engine is sent, from names in lower case as ASGI has them.

    `request_id` takes the place of the client's, which stays where it is empty; with `None` there is none. With
    `readable` the engine is asked not to compress, so that the answer can be looked at. Raises `BadHeader` for a value
    that is not UTF-8, which is what our HTTP client writes.
    """
    dropped = SKIPPED[request_id != "", readable]
    sent, named, name = [], b"", b""
    try:
        for name, value in headers:
            if name not in dropped:
                sent.append((name.decode("latin-1"), value.decode()))
            elif name == b"connection":
                named += b"," + value
    except UnicodeDecodeError:
        said = name.decode("latin-1")
        raise BadHeader(f"the header {said} must be UTF-8 to be sent on: encode what is not ASCII in it") from None
    if named not in PLAIN:
        own = {word.strip().lower().decode("latin-1") for word in named.split(b",")}
        sent = [(name, value) for name, value in sent if name not in own]
    if request_id:
        sent.append(("X-Request-Id", request_id))
    if readable:
        sent.append(("Accept-Encoding", "identity"))
    return CIMultiDict(sent)


def response_headers(response: ClientResponse) -> Headers:
    """What the client is sent, names in lower case; the length stays, since the bytes do."""
    said, named, counted = [], b"", False
    for written, value in response.raw_headers:
        name = written.lower()
        if name == b"connection":
            named += b"," + value
        elif name == b"transfer-encoding":
            counted = counted or bool(value)
        elif name not in HOP_BY_HOP:
            said.append((name, value))
    if counted:
        said = [pair for pair in said if pair[0] != b"content-length"]
    if named not in PLAIN:
        own = {word.strip().lower() for word in named.split(b",")}
        said = [pair for pair in said if pair[0] not in own]
    return said

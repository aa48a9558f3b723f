"""A request's body: read once, and added to without touching the rest of its bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import orjson

from soonest.core.errors import SoonestError
from soonest.gateway.wire.members import Scanner

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_OBJECTS: Final = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}


class BadBody(SoonestError):  # noqa: N818 - what it is, not that it is an error
    """A body that is no JSON object; the message says why, and is fit for the client."""


def read(raw: bytes) -> dict[str, Any]:
    """The body as a dict; raises `BadBody`.

    Last of duplicate keys wins, as in engines. Integers beyond 64 bits may come as floats: what is read here is for
    the gateway's own eyes, the engine gets the bytes.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = _read_slowly(raw)
    if type(body) is dict:
        return body
    raise BadBody(f"the body must be a JSON object, not {NOT_OBJECTS.get(type(body), 'null')}")


def _read_slowly(raw: bytes) -> object:
    """What orjson refuses and JSON allows: lone surrogates, numbers beyond a double's range."""
    try:
        return json.loads(raw.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise BadBody(f"the body is not UTF-8: byte {error.start} is {raw[error.start]:#04x}") from None
    except json.JSONDecodeError as error:
        raise BadBody(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except ValueError as error:  # NaN, or an integer of thousands of digits
        raise BadBody(f"the body is not JSON that can be read: {error}") from None


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is no JSON number")


def splice(raw: bytes, members: Mapping[str | tuple[str, ...], object]) -> bytes:
    """The body with members set; every other byte is as it was.

    A key is a name, or a path of names into objects: `("stream_options", "include_usage")`. A value that is there
    (the last of duplicates) is replaced in place; what is not there is added before the closing brace; what stands
    in the way of a path and is no object is replaced by one. `raw` is a body that `read` has accepted; raises
    `BadBody` where it is plainly none.
    """
    if not members:
        return raw
    return Scanner(raw).edited(_tree(members))


def _tree(members: Mapping[str | tuple[str, ...], object]) -> dict[str, Any]:
    """Paths that begin alike together: leaves are the new values' bytes."""
    tree: dict[str, Any] = {}
    for path, value in members.items():
        names = (path,) if isinstance(path, str) else path
        node = tree
        for name in names[:-1]:
            node = node.setdefault(name, {})
        node[names[-1]] = orjson.dumps(value)
    return tree

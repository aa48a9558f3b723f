"""Where an object's members stand in JSON bytes, found without reading them."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
SPACE: Final = rb"[ \t\n\r]*+"
MEMBER: Final = re.compile(
    rb"%(space)b,?%(space)b(%(string)b)%(space)b:%(space)b(?:(%(string)b|[^][{}\",: \t\n\r]++)|([{[]))"
    % {b"space": SPACE, b"string": STRING},
    re.DOTALL,
)
BRACKET: Final = re.compile(rb'(?:[^][{}"]++|%b)*+(?:[{[]|([]}]))' % STRING, re.DOTALL)
BLANK: Final = b" \t\n\r"


class Span(NamedTuple):
    """A value's first byte and the one after its last."""

    start: int
    end: int


class Edit(NamedTuple):
    """Bytes for a span; an empty span is a place between bytes."""

    start: int
    end: int
    new: bytes


class Scanner:
    """One JSON object in bytes that are known to be valid JSON; never recurses, linear in their length."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def edited(self, tree: Mapping[str, Any]) -> bytes:
        """The bytes with the tree's values set: a leaf is the value's bytes, a node an object's members."""
        raw = self.raw
        end = raw.rfind(b"}") + 1
        if self._absent(tree):
            place, _, new = self._added(end, tree)
            return b"".join((raw[:place], new, raw[place:]))
        edits: list[Edit] = []
        self._set(Span(len(raw) - len(raw.lstrip(BLANK)), end), tree, edits)
        return _applied(raw, edits)

    def _absent(self, tree: Mapping[str, Any]) -> bool:
        """None of the names stands anywhere, not even in an escape's clothes: no need to look closer."""
        raw = self.raw
        for name in tree:
            if not name.isidentifier() or _quoted(name) in raw:
                return False
        return b"\\u" not in raw

    def _set(self, span: Span, tree: Mapping[str, Any], edits: list[Edit]) -> None:
        """Edits that set the tree's values in the object at `span`."""
        found = self._members(span.start, tree)
        absent = {name: value for name, value in tree.items() if name not in found}
        for name, place in found.items():
            value = tree[name]
            if isinstance(value, bytes):
                edits.append(Edit(*place, value))
            elif self.raw[place.start] == ord("{"):
                self._set(place, value, edits)
            else:
                edits.append(Edit(*place, _written(value)))
        if absent:
            edits.append(self._added(span.end, absent))

    def _added(self, end: int, members: Mapping[str, Any]) -> Edit:
        """New members before the closing brace that ends at `end`."""
        new = _written(members)[1:-1]
        empty = self.raw[: end - 1].rstrip(BLANK).endswith(b"{")
        return Edit(end - 1, end - 1, new if empty else b"," + new)

    def _members(self, start: int, names: Mapping[str, Any]) -> dict[str, Span]:
        """The values of the named members of the object that begins at `start`; the last of duplicates."""
        raw, found = self.raw, {}
        wanted = {_quoted(name): name for name in names}
        match = MEMBER.match
        member = match(raw, start + 1)
        while member is not None:
            end = member.end()
            if member[3]:
                end = self._closed(end)
            key = member[1]
            name = wanted.get(key)
            if name is None and b"\\" in key:
                name = wanted.get(_quoted(json.loads(key)))
            if name is not None:
                found[name] = Span(member.start(3) if member[3] else member.start(2), end)
            member = match(raw, end)
        return found

    def _closed(self, at: int) -> int:
        """Where the object or list ends whose opening bracket stands right before `at`."""
        raw, depth, match = self.raw, 1, BRACKET.match
        while depth:
            bracket = match(raw, at)
            if bracket is None:
                raise ValueError("brackets that never close")
            at = bracket.end()
            depth += -1 if bracket.lastindex else 1
        return at


@lru_cache(256)
def _quoted(name: str) -> bytes:
    """A name as JSON writes it plainly; two spellings of one name are alike after reading."""
    return json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _written(tree: Mapping[str, Any]) -> bytes:
    pieces = []
    for name, value in tree.items():
        pieces += [b",", _quoted(name), b":", value if type(value) is bytes else _written(value)]
    pieces[0] = b"{"
    pieces.append(b"}")
    return b"".join(pieces)


def _applied(raw: bytes, edits: list[Edit]) -> bytes:
    pieces, at = [], 0
    for edit in sorted(edits):
        pieces += [raw[at : edit.start], edit.new]
        at = edit.end
    pieces.append(raw[at:])
    return b"".join(pieces)

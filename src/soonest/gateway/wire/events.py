"""Server-sent events of an answer: cut at their ends, looked at where it matters, handed on as they came."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from soonest.gateway.wire.answer import Usage, choices_of, finish_of, usage_of

BOUNDARY: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
LINE: Final = re.compile(rb"\r\n|\n|\r")
LONGEST_BOUNDARY: Final = 4  # bytes
MOST_HELD: Final = 1 << 20  # bytes; an event that is longer goes out in parts, unread
DONE: Final = b"data: [DONE]\n\n"
USUALLY_TELLING: Final = 3  # why it ended, its usage, and that it is done
FINISH: Final = (b'"finish_reason"', b'"finish_reason":null', b'"finish_reason": null')
USAGE: Final = (b'"usage"', b'"usage":null', b'"usage": null')


class Events:
    """A stream on its way through: `feed` gives back whole events in the bytes they came in.

    With `drop_usage` the one event that only tells the usage (`choices: []`) is left out. Ends of lines may be of any
    kind the standard knows, mixed. Events are counted in bulk; only those that may tell something are parsed.
    """

    __slots__ = ("_drop", "_held", "chunks", "done", "failed", "finish", "usage")

    def __init__(self, drop_usage: bool = False) -> None:  # noqa: FBT001, FBT002 - the one thing it is told
        self._drop = drop_usage
        self._held = b""
        self.chunks = 0  # events with content, all choices together
        self.usage: Usage | None = None
        self.done = False  # [DONE] was seen
        self.finish: str | None = None
        self.failed = False  # an error event was seen

    def feed(self, data: bytes) -> bytes:
        """Take bytes in, give out the events that they complete; perhaps none."""
        held = self._held
        if not held and data.endswith(b"\n\n"):
            return self._look(data)
        whole = held + data
        cut = _last_end(whole, max(0, len(held) - LONGEST_BOUNDARY))
        if not cut and len(whole) > MOST_HELD:
            cut = len(whole)
        self._held = whole[cut:]
        return self._look(whole[:cut]) if cut else b""

    def end(self) -> bytes:
        """The stream is over: what was held, ended or not."""
        held, self._held = self._held, b""
        if held:
            self._read(held)
        return held

    def _look(self, whole: bytes) -> bytes:
        """Count the events, parse those that may tell something, drop one."""
        if self.chunks and not whole.endswith(DONE) and _dull(whole):
            self.chunks += _count(whole, len(whole))
            return whole
        start = _first_telling(whole) if self.chunks else 0
        self.chunks += _count(whole, start)
        kept = [whole[:start]]
        while start < len(whole):
            silent = not self.chunks
            end = _next_end(whole, start)
            event = whole[start:end]
            if not self._read(event):
                kept.append(event)
            start = end
            if silent and self.chunks:
                kept.append(self._look(whole[end:]))
                break
        return b"".join(kept)

    def _read(self, event: bytes) -> bool:
        """Learn from one event; whether it is to be dropped."""
        data = _data(event)
        if data.startswith(b"[DONE]"):
            self.done = True
            return False
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError:
            return False
        return self._learn(body) if isinstance(body, dict) else False

    def _learn(self, body: dict[str, Any]) -> bool:
        choices, usage = choices_of(body), usage_of(body)
        self.failed = self.failed or bool(body.get("error"))
        self.usage = usage or self.usage
        self.finish = finish_of(choices) or self.finish
        if choices and (self.chunks or any(map(_speaks, choices))):
            self.chunks += 1
        return self._drop and body.get("choices") == [] and isinstance(body.get("usage"), dict)


def _speaks(choice: dict[str, Any]) -> bool:
    """Whether a choice says something: more than whose turn it is."""
    delta = choice.get("delta")
    said = delta if isinstance(delta, dict) else choice
    return any(said.get(name) for name in said if name not in {"role", "index", "finish_reason"})


def _dull(whole: bytes) -> bool:
    """Whether its events tell of tokens alone."""
    return not (b'"error"' in whole or b"[DONE]" in whole) and _null(whole, *FINISH) and _null(whole, *USAGE)


def _null(whole: bytes, name: bytes, close: bytes, spaced: bytes) -> bool:
    """Whether all members of this name are null, in one of two spellings."""
    named = whole.count(name)
    return not named or named == whole.count(close) or named == whole.count(spaced)


def _first_telling(whole: bytes) -> int:
    """Where the first event begins that may tell more than a token.

    Mostly these are the last three; where not, it is found by halving what is not dull.
    """
    start, end = 0, len(whole)
    last = end
    for _ in range(USUALLY_TELLING):
        last = whole.rfind(b"\n\n", 0, max(0, last - 2)) + 2
    if last > 1 and _dull(whole[:last]):
        return last
    while (middle := whole.find(b"\n\n", (start + end) // 2, end - 2)) >= 0:
        if _dull(whole[start : middle + 2]):
            start = middle + 2
        else:
            end = middle + 2
    return start


def _count(whole: bytes, end: int) -> int:
    """Events before `end`: lines that begin with `data:`; a line's end in a text is escaped."""
    if not end:
        return 0
    count = whole.startswith(b"data:") + whole.count(b"\ndata:", 0, end)
    return count + whole.count(b"\rdata:", 0, end) if b"\r" in whole else count


def _last_end(whole: bytes, start: int) -> int:
    """Where the last whole event ends, looking from `start`; 0 if none does.

    A line feed that may still come after a last carriage return belongs to it.
    """
    if b"\r" not in whole:
        return whole.rfind(b"\n\n", start) + 2 if b"\n\n" in whole[start:] else 0
    ends = [found.end() for found in BOUNDARY.finditer(whole, start)]
    if ends and ends[-1] == len(whole) and whole.endswith(b"\n\r"):
        ends.pop()
    return ends[-1] if ends else 0


def _next_end(whole: bytes, start: int) -> int:
    if b"\r" not in whole:
        at = whole.find(b"\n\n", start)
        return at + 2 if at >= 0 else len(whole)
    found = BOUNDARY.search(whole, start)
    return found.end() if found else len(whole)


def _data(event: bytes) -> bytes:
    """The data of an event: its `data` lines, one space after the colon left out."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.count(b"\n") == 2 and b"\r" not in event:
        return event[6:-2]
    lines = [line[5:].removeprefix(b" ") for line in LINE.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines)

"""From a file to a trace: find the format, stream the rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from soonest.core import TraceError
from soonest.data.log import log_columns
from soonest.data.prompts import prompt_columns, talk_columns
from soonest.data.source import Choice, gather, opened
from soonest.data.tables import LAYOUTS, header_format, read_table, split_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TextIO

    from soonest.data.source import Columns, Place
    from soonest.data.trace import Trace

    Json = Mapping[str, object]

BLOCK = 1 << 20  # characters read at a time
LONGEST_ITEM = 1 << 26  # characters of one list item; a longer one is a file that never closes it
BLANKS = re.compile(r"\s*")

OBJECTS: Mapping[str, Callable[[Place, Sequence[Json], Choice], Columns]] = {
    "mooncake": log_columns,
    "log": log_columns,
    "prompts": prompt_columns,
    "sharegpt": talk_columns,
}
FORMATS = (*LAYOUTS, *OBJECTS)


def read_trace(path: str | Path, format: str = "auto", limit: int | None = None, model: str | None = None) -> Trace:  # noqa: A002 - the word users know
    """A trace from a file, plain or gzip.

    Formats: `azure` (2023 and 2024), `burstgpt`, `vidur`, `csv` (`timestamp_s`, `prompt_tokens`, `output_tokens`, and
    `client_id`, `predicted` if there), `predictions` (of the SSJF authors), `mooncake`, `log` (our own), `prompts` (of
    vLLM and aiperf) and `sharegpt`. `auto` looks at the header or the first object.

    Calls are sorted by arrival, equal ones in file order, and shifted so that the first arrives at 0. Calls without an
    answer are left out and counted in `Trace.left_out`. `limit` stops after that many calls of the file, before
    sorting; what comes later is never read. `model` chooses one model of a file that has several.

    Raises:
        TraceError: the file cannot be read, its format is not known, or a row is malformed: file, line and column.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise TraceError(f"limit must be at least 1 call, got {limit}")
    known = find_format(path) if format == "auto" else format
    if known in LAYOUTS:
        return read_table(path, LAYOUTS[known], limit, model)
    if known not in OBJECTS:
        raise TraceError(f"no trace format {known!r}; known: {', '.join(FORMATS)}")
    choice = Choice(model)
    with opened(path) as text:
        rows = items(path, text) if known == "sharegpt" else lines(path, text)
        return gather(path, rows, lambda place, batch: OBJECTS[known](place, batch, choice), limit, choice)


def find_format(path: Path) -> str:
    """The format of a file, from its header or its first object."""
    with opened(path) as text:
        head = text.read(1 << 16).lstrip()
        start = (head if "\n" in head else head + text.readline()).split("\n", 1)[0]
        found: str | None
        if head.startswith("["):
            found = "sharegpt"
        elif head.startswith("{"):
            found = _object_format(set(next(lines(path, iter([start])))[1]))
        else:
            found = header_format(split_header(start))
    if found is None:
        said = f"begins with {start[:80]!r}" if head else "is empty"
        raise TraceError(f"{path}: {said}, which no known format does; known: {', '.join(FORMATS)}")
    return found


def _object_format(names: set[str]) -> str | None:
    """The format of a JSON object with these names."""
    if {"input_length", "output_length"} <= names:
        return "mooncake" if names <= {"timestamp", "input_length", "output_length", "hash_ids"} else "log"
    if {"prompt", "output_tokens"} <= names or {"text_input", "output_length"} <= names:
        return "prompts"
    return None


def lines(path: Path, text: Iterator[str]) -> Iterator[tuple[int, Json]]:
    """Objects, one a line, with their line numbers; blank lines are passed over."""
    decode = json.JSONDecoder().decode
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            row = decode(line.rstrip("\r\n"))
        except json.JSONDecodeError as error:
            raise TraceError(f"{path}, line {number}, column {error.colno}: is no JSON: {error.msg}") from error
        except (RecursionError, ValueError) as error:
            raise TraceError(f"{path}, line {number}, column 1: is no JSON that can be read: {error}") from error
        if not isinstance(row, dict):
            raise TraceError(f"{path}, line {number}, column 1: need a JSON object, not a {type(row).__name__}")
        yield number, row


class _ListReader:
    """A JSON list from a stream; only one block and one item are held at a time."""

    def __init__(self, path: Path, text: TextIO) -> None:
        self.path = path
        self.text = text
        self.buffer = ""
        self.at = 0
        self.line = 1

    def character(self) -> str:
        """The next character that is not blank, or "" at the end."""
        while True:
            match = BLANKS.match(self.buffer, self.at)
            self.move(match.end() if match else self.at)
            if self.at < len(self.buffer) or not self.refill():
                return self.buffer[self.at : self.at + 1]

    def expect(self, characters: str) -> str:
        """Step over the next character, one of these."""
        found = self.character()
        if not found or found not in characters:
            need = " or ".join(map(repr, characters))
            raise TraceError(f"{self.path}, line {self.line}: need {need} here, not {found!r}: is the file whole?")
        self.at += 1
        return found

    def item(self) -> tuple[int, Json]:
        """The object that begins here, and its line."""
        if self.character() != "{":
            raise TraceError(f"{self.path}, line {self.line}: need a JSON object here, as in a list of conversations")
        decode = json.JSONDecoder().raw_decode
        while True:
            try:
                row, end = decode(self.buffer, self.at)
            except (ValueError, RecursionError) as error:
                if len(self.buffer) - self.at > LONGEST_ITEM or not self.refill():
                    raise TraceError(f"{self.path}, line {self.line}: the object is no JSON: {error}") from error
            else:
                line = self.line
                self.move(end)
                return line, row

    def move(self, to: int) -> None:
        """Step on, counting lines."""
        self.line += self.buffer.count("\n", self.at, to)
        self.at = to

    def refill(self) -> bool:
        """Read on; false at the end of the file."""
        more = self.text.read(BLOCK)
        self.buffer, self.at = self.buffer[self.at :] + more, 0
        return bool(more)


def items(path: Path, text: TextIO) -> Iterator[tuple[int, Json]]:
    """Objects of one JSON list, each with the line it begins on."""
    reader = _ListReader(path, text)
    reader.expect("[")
    if reader.character() == "]":
        return
    while True:
        yield reader.item()
        if reader.expect(",]") == "]":
            return

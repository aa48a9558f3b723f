"""Rows of a file, whatever its format, one at a time, and their cells, checked."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

from soonest.core import TraceError
from soonest.core.forecast import MAX_TOKENS
from soonest.data.examples.columns import is_number, value_of
from soonest.data.reading import items, lines
from soonest.data.source import Place, opened, whole

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

Cells: TypeAlias = "tuple[int, Mapping[str, object]]"
PARQUET: Final = b"PAR1"
BATCH: Final = 512  # rows of a Parquet file held at a time
LONGEST_CELL: Final = 1 << 26  # characters of a CSV cell; the standard library's limit is below a long prompt


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands, its cells, and which column plays which role."""

    path: Path
    line: int
    cells: Mapping[str, object]
    columns: Mapping[str, str]

    def value(self, role: str) -> object:
        """What the column of this role holds; `None` where there is none."""
        return value_of(self.cells, self.columns[role]) if role in self.columns else None

    def wrong(self, role: str, complaint: str, inside: str = "") -> TraceError:
        """The error that names file, line and column."""
        return Place(self.path, [self.line]).wrong(0, self.columns.get(role, role) + inside, complaint)

    def text(self, role: str) -> str:
        """A text."""
        value = self.value(role)
        if not isinstance(value, str):
            raise self.wrong(role, "need a text")
        return value

    def word(self, role: str) -> str:
        """A name, or "" where there is none."""
        value = self.value(role)
        if value is None or value == "":
            return ""
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise self.wrong(role, "need a text or a whole number")
        return str(value)

    def count(self, role: str, low: int = 0) -> int | None:
        """A whole number from `low`, or `None` where nothing stands."""
        return self.counted(role, self.value(role), low)

    def counted(self, role: str, value: object, low: int = 0, inside: str = "") -> int | None:
        """This value as a whole number from `low`."""
        if value is None or value == "":
            return None
        if type(value) is int and low <= value <= MAX_TOKENS:
            return value
        column = self.columns.get(role, role) + inside
        return int(whole(Place(self.path, [self.line]), column, [value], low)[0])

    def number(self, role: str) -> float | None:
        """A finite number, or `None` where nothing stands."""
        value = self.value(role)
        if value is None or value == "":
            return None
        if not is_number(value) or not math.isfinite(float(value)):  # type: ignore[arg-type]
            raise self.wrong(role, "need a finite number")
        return float(value)  # type: ignore[arg-type]


def format_of(path: Path) -> str:
    """How a file is written, from its first bytes: `Parquet`, `JSON list`, `JSONL` or `CSV`."""
    try:
        with path.open("rb") as file:
            if file.read(len(PARQUET)) == PARQUET:
                return "Parquet"
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error}; is the path right and the file whole?") from error
    with opened(path) as text:
        head = text.read(1 << 12).lstrip()
    if not head:
        raise TraceError(f"{path}: is empty")
    return {"[": "JSON list", "{": "JSONL"}.get(head[0], "CSV")


def stream(path: Path, form: str, needed: Sequence[str] | None = None) -> Generator[Cells, None, None]:
    """Rows with their line numbers, or a Parquet file's row numbers; only `needed` fields where that saves work."""
    if form == "Parquet":
        yield from _parquet(path, needed)
        return
    with opened(path) as text:
        if form == "JSON list":
            yield from items(path, text)
        elif form == "JSONL":
            yield from lines(path, text)
        else:
            yield from _table(path, text)


def _table(path: Path, text: TextIO) -> Iterator[Cells]:
    """Rows of a CSV, or of a table whose header has tabs and no comma; blank lines are passed over."""
    head = text.readline()
    before = 1
    while not head.strip():
        head, before = text.readline(), before + 1
    mark = "\t" if "\t" in head and "," not in head else ","
    reader = csv.reader(chain([head], text), delimiter=mark, strict=True)
    usual = csv.field_size_limit(LONGEST_CELL)
    try:
        header = [name.strip() for name in next(reader)]
        for row in reader:
            line = reader.line_num + before - 1
            if row and len(row) != len(header):
                raise TraceError(f"{path}, line {line}: has {len(row)} values and the header {len(header)} columns")
            if row:
                yield line, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise TraceError(f"{path}, line {reader.line_num + before - 1}: {error}") from error
    finally:
        csv.field_size_limit(usual)


def _parquet(path: Path, needed: Sequence[str] | None) -> Iterator[Cells]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - only for a Parquet file
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise TraceError(f"{path}: a Parquet file needs PyArrow: pip install 'soonest[parquet]'") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            columns = None if needed is None else [name for name in file.schema_arrow.names if name in needed]
            for batch in file.iter_batches(batch_size=BATCH, columns=columns, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{path}: is no whole Parquet file: {error}") from error

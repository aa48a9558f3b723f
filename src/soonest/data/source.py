"""Text of a trace file, row by row, and what becomes of it: checked columns, then a trace."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, TextIO, TypeVar, cast

import numpy as np

from soonest.core import TraceError
from soonest.core.forecast import MAX_TOKENS
from soonest.data.trace import BLOCK_TOKENS, MAX_SECONDS, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BATCH = 1 << 11  # rows turned into columns at a time: few enough to stay in the processor's cache
MICRO = 1_000_000  # times are held in whole microseconds until they are shifted, so the shift is exact
LATEST = float(1 << 33)  # seconds; the year 2242, should a log count from 1970
LONGEST_WORD = 256
EXACT = 2.0**53  # beyond it floating point skips whole numbers

Row = TypeVar("Row")


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """The file as UTF-8 text, unzipped if its first bytes say gzip, whatever its name."""
    try:
        with path.open("rb") as raw:
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            binary = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if zipped else raw
            with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
                yield text
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: cannot be read: {error}; is the path right and the file whole?") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start} of a block") from error


@dataclass(frozen=True, slots=True)
class Place:
    """Where a batch of rows stands in its file."""

    path: Path
    lines: Sequence[int]

    def wrong(self, row: int, column: str, complaint: str) -> TraceError:
        """The error that names file, line and column."""
        return TraceError(f"{self.path}, line {self.lines[row]}, column {column!r}: {complaint}")


class Choice:
    """Which model's calls are wanted, and which models were met."""

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.met: set[str] = set()

    def rows(self, models: Sequence[str]) -> NDArray[np.bool_] | None:
        """Which of these rows are wanted; `None` means all."""
        if self.model is None:
            return None
        self.met.update(models)
        return np.array([model == self.model for model in models], dtype=np.bool_)

    @property
    def hint(self) -> str:
        """What to say when nothing was found."""
        if self.model is None or self.model in self.met:
            return ""
        return f" of model {self.model!r}; its models are {', '.join(sorted(self.met)) or 'not named'}"


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch of rows as columns; `None` or empty where the source has none.

    `arrival` is in whole microseconds and comes from the column `clock`. `chosen` tells which rows belong to the model
    asked for. Of these, rows without output tokens are left out and counted.
    """

    output: NDArray[np.int64]
    prompt: NDArray[np.int64] | None = None
    arrival: NDArray[np.int64] | None = None
    clock: str = ""
    tenant: NDArray[np.str_] | None = None
    predicted: NDArray[np.int64] | None = None
    blocks: tuple[tuple[int, ...], ...] = ()
    block_tokens: int = BLOCK_TOKENS
    chosen: NDArray[np.bool_] | None = None


def whole(
    place: Place, column: str, values: Sequence[object], low: int = 0, high: int = MAX_TOKENS
) -> NDArray[np.int64]:
    """Whole numbers from `low` to `high`; `12.0` counts as one."""
    need = f"need a whole number from {low} to {high}"
    kinds = set(map(type, values))
    numbers = None
    if kinds <= {str} or kinds <= {int}:  # the fast way: int() would cut 3.7 short
        with suppress(ValueError, OverflowError):
            numbers = np.array(list(map(int, cast("Sequence[int]", values))), dtype=np.int64)
    if numbers is None:
        floats = _numbers(place, column, values, need)
        odd = ~np.isfinite(floats) | (floats != np.rint(floats)) | (np.abs(floats) > EXACT)
        if odd.any():
            raise _refusal(place, column, values, odd, need)
        numbers = floats.astype(np.int64)
    outside = (numbers < low) | (numbers > high)
    if outside.any():
        raise _refusal(place, column, values, outside, need)
    return numbers


def times(place: Place, column: str, values: Sequence[object], units_a_second: int = 1) -> NDArray[np.int64]:
    """Times since some start, rounded to whole microseconds."""
    need = "need a time: a finite number >= 0"
    numbers = _numbers(place, column, values, need)
    with np.errstate(invalid="ignore"):
        odd = ~((numbers >= 0) & (numbers <= LATEST * units_a_second))
    if odd.any():
        raise _refusal(place, column, values, odd, need)
    return np.rint(numbers * (MICRO / units_a_second)).astype(np.int64)


def dates(place: Place, column: str, values: Sequence[object]) -> NDArray[np.int64]:
    """Dates with a time of day, with or without a zone, as microseconds since 1970; further digits are cut."""
    moments: list[datetime] = []
    with suppress(TypeError, ValueError):  # the fast way: all without a zone, or all in UTC
        moments = [datetime.fromisoformat(cast("str", value).removesuffix("+00:00")) for value in values]
    if not moments or any(moment.tzinfo is not None for moment in moments):
        moments = [_moment(place, column, row, value) for row, value in enumerate(values)]
    return np.array(moments, dtype="datetime64[us]").astype(np.int64)


def words(place: Place, column: str, values: Sequence[object]) -> NDArray[np.str_]:
    """Short texts; a number becomes its text."""
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (str, int)) or len(str(value)) > LONGEST_WORD:
            raise place.wrong(row, column, f"{_shown(value)} is no text of at most {LONGEST_WORD} characters")
    return np.array(list(map(str, values)), dtype=np.str_)


def gather(
    path: Path,
    rows: Iterator[tuple[int, Row]],
    columns: Callable[[Place, Sequence[Row]], Columns],
    limit: int | None,
    choice: Choice,
) -> Trace:
    """A trace of rows that come with their line numbers: no more than `limit` calls, and no row read beyond them."""
    parts: list[Columns] = []
    kept = left_out = 0
    origin: int | None = None
    while limit is None or kept < limit:
        batch = list(islice(rows, BATCH if limit is None else min(BATCH, limit - kept)))
        if not batch:
            break
        lines, cells = zip(*batch, strict=True)
        place = Place(path, lines)
        part = columns(place, cells)
        if part.arrival is not None:
            origin = int(part.arrival[0]) if origin is None else origin
            far = np.abs(part.arrival - origin) > MAX_SECONDS * MICRO
            if far.any():
                raise place.wrong(int(far.argmax()), part.clock, "more than ten years from the first call")
        chosen = part.chosen if part.chosen is not None else np.ones(len(batch), dtype=np.bool_)
        answered = chosen & (part.output > 0)
        left_out += int(chosen.sum() - answered.sum())
        kept += int(answered.sum())
        parts.append(_only(part, answered))
    if kept == 0:
        left = f"; {left_out} without an answer were left out" if left_out else ""
        raise TraceError(f"{path}: holds no call{choice.hint}{left}")
    return _trace(path, parts, left_out)


def _trace(path: Path, parts: Sequence[Columns], left_out: int) -> Trace:
    """The parts as one trace: sorted stably by arrival, and shifted so that the first call arrives at 0."""
    name = path.name.removesuffix(".gz").rsplit(".", 1)[0] or path.name
    timed = {part.arrival is not None for part in parts}
    if len(timed) > 1 or len({part.block_tokens for part in parts}) > 1:
        raise TraceError(f"{path}: some rows have a time or a block size that others lack: give it in all or in none")
    output = np.concatenate([part.output for part in parts])
    n = len(output)
    arrival = np.concatenate([np.zeros(len(p.output), np.int64) if p.arrival is None else p.arrival for p in parts])
    trace = Trace(
        name=name,
        arrival=np.zeros(n),
        prompt_tokens=np.concatenate(
            [np.zeros(len(p.output), np.int64) if p.prompt is None else p.prompt for p in parts]
        ),
        output_tokens=output,
        tenant=np.concatenate([np.full(len(p.output), "") if p.tenant is None else p.tenant for p in parts]),
        predicted=np.concatenate([np.full(len(p.output), -1) if p.predicted is None else p.predicted for p in parts]),
        blocks=_blocks(parts),
        block_tokens=parts[0].block_tokens,
        has_arrivals=False,
        left_out=left_out,
    )
    if timed != {True}:
        return trace
    if (np.diff(arrival) < 0).any():
        order = np.argsort(arrival, kind="stable")
        trace, arrival = trace.take(order), arrival[order]
    return trace.at((arrival - arrival[0]) / MICRO)


def _blocks(parts: Sequence[Columns]) -> tuple[tuple[int, ...], ...]:
    """Block hashes of all rows; none at all where no part has any."""
    if not any(part.blocks for part in parts):
        return ()
    return tuple(blocks for part in parts for blocks in (part.blocks or ((),) * len(part.output)))


def _only(part: Columns, rows: NDArray[np.bool_]) -> Columns:
    """These rows of a part."""
    if rows.all():
        return part
    return Columns(
        output=part.output[rows],
        prompt=None if part.prompt is None else part.prompt[rows],
        arrival=None if part.arrival is None else part.arrival[rows],
        tenant=None if part.tenant is None else part.tenant[rows],
        predicted=None if part.predicted is None else part.predicted[rows],
        blocks=tuple(part.blocks[i] for i in np.flatnonzero(rows)) if part.blocks else (),
        block_tokens=part.block_tokens,
    )


def _numbers(place: Place, column: str, values: Sequence[object], need: str) -> NDArray[np.float64]:
    """The values as floating-point numbers, or the error that names the first that is none."""
    if set(map(type, values)) <= {str, int, float}:
        with suppress(ValueError, OverflowError):
            return np.array(list(map(float, cast("Sequence[float]", values))), dtype=np.float64)
    odd = np.array([not _is_number(value) for value in values])
    raise _refusal(place, column, values, odd, need)


def _moment(place: Place, column: str, row: int, value: object) -> datetime:
    """One date in UTC, without its zone."""
    try:
        moment = datetime.fromisoformat(cast("str", value))
        offset = moment.utcoffset()
        return moment if offset is None else moment.replace(tzinfo=None) - offset
    except (TypeError, ValueError, OverflowError):
        said = f"{_shown(value)}: need a time like 2023-11-16 18:17:03.979960"
        raise place.wrong(row, column, said) from None


def _is_number(value: object) -> bool:
    try:
        float(cast("float", value))
    except (TypeError, ValueError, OverflowError):
        return False
    return not isinstance(value, bool)


def _refusal(place: Place, column: str, values: Sequence[object], odd: NDArray[np.bool_], need: str) -> TraceError:
    row = int(odd.argmax())
    return place.wrong(row, column, f"{_shown(values[row])}: {need}")


def _shown(value: object) -> str:
    if value is None or value == "":
        return "nothing there"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."

"""The request log: Mooncake's field names plus what a scheduler needs, and never a prompt.

One JSON object a line:

    timestamp       milliseconds from the log's start, to the microsecond; in all rows or in none
    input_length    tokens of the prompt
    output_length   tokens of the answer; a row with 0 has no answer and is left out by readers
    hash_ids        the prompt's prefix as block hashes (optional)
    block_tokens    tokens a block where it is not 512 (optional; the same in all rows)
    tenant          who called (optional)
    model           which model answered (optional)
    predicted       the class of lengths that a classifier predicted (optional)

Readers pass over further fields, so a host may add its own: `id`, `admitted`, `first_token`, `finished` (milliseconds)
or `outcome`. A Mooncake trace (Qin et al., 2024, arXiv:2407.00079) is such a log, and tools that replay Mooncake traces
replay ours.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from soonest.core import TraceError
from soonest.data.source import MICRO, Columns, times, whole, words
from soonest.data.trace import BLOCK_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from soonest.data.source import Choice, Place
    from soonest.data.trace import Trace

MILLI = 1000
LARGEST_HASH = 1 << 64


def log_columns(place: Place, rows: Sequence[Mapping[str, object]], choice: Choice) -> Columns:
    """A batch of log rows as checked columns."""

    def field(name: str, default: object = None) -> list[object]:
        return [row.get(name, default) for row in rows]

    stamps = field("timestamp")
    sizes = set(whole(place, "block_tokens", field("block_tokens", BLOCK_TOKENS), low=1).tolist())
    if len(sizes) > 1:
        raise TraceError(f"{place.path}: blocks of {sorted(sizes)} tokens in one log: split it by block_tokens")
    hashed = any("hash_ids" in row for row in rows)
    return Columns(
        output=whole(place, "output_length", field("output_length")),
        prompt=whole(place, "input_length", field("input_length")),
        arrival=None if all(stamp is None for stamp in stamps) else times(place, "timestamp", stamps, MILLI),
        clock="timestamp",
        tenant=words(place, "tenant", field("tenant", "")),
        predicted=whole(place, "predicted", field("predicted", -1), low=-1),
        blocks=tuple(_hashes(place, i, row.get("hash_ids", [])) for i, row in enumerate(rows)) if hashed else (),
        block_tokens=sizes.pop(),
        chosen=choice.rows(words(place, "model", field("model", "")).tolist()),
    )


def write_log(path: str | Path, trace: Trace) -> None:
    """Write a trace as a request log, all or nothing; zipped where the name ends in `.gz`.

    Times are kept to the microsecond.
    """
    target = Path(path)
    text = "".join(line + "\n" for line in _lines(trace)).encode()
    content = gzip.compress(text, mtime=0) if target.suffix == ".gz" else text
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise TraceError(f"{target}: cannot be written: {error}") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(target)
    except OSError as error:
        raise TraceError(f"{target}: cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _lines(trace: Trace) -> Iterator[str]:
    """The rows of a log as JSON."""
    stamps = (np.rint(trace.arrival * MICRO) / MILLI).tolist()
    counts = zip(trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True)
    for i, (prompt, output) in enumerate(counts):
        row: dict[str, object] = {"timestamp": stamps[i]} if trace.has_arrivals else {}
        row |= {"input_length": prompt, "output_length": output}
        if trace.blocks:
            row["hash_ids"] = list(trace.blocks[i])
        if trace.block_tokens != BLOCK_TOKENS:
            row["block_tokens"] = trace.block_tokens
        if trace.tenant[i]:
            row["tenant"] = str(trace.tenant[i])
        if trace.predicted[i] >= 0:
            row["predicted"] = int(trace.predicted[i])
        yield json.dumps(row)


def _hashes(place: Place, row: int, value: object) -> tuple[int, ...]:
    """The block hashes of one row."""
    if not isinstance(value, list) or not all(type(h) is int and 0 <= h < LARGEST_HASH for h in value):
        raise place.wrong(row, "hash_ids", "need a list of whole numbers from 0 to 2**64 - 1")
    return tuple(cast("list[int]", value))

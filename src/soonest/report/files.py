"""Results on disk: a file is there whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from soonest.core import OUTCOMES, Records, SoonestError


def write_json(path: str | Path, value: object) -> None:
    """Write JSON, indented, in the order given; `nan` and infinity become `null`, because JSON has neither.

    Raises:
        SoonestError: the file cannot be written.
        TypeError: a value is none of JSON's; the old file stays.
    """
    text = json.dumps(_plain(value), indent=2, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def write_csv(path: str | Path, records: Records) -> None:
    """Write one record a row under the names of `Record`; a time that never came is an empty cell.

    Raises:
        SoonestError: the file cannot be written.
    """
    columns = {f.name: getattr(records, f.name).tolist() for f in fields(Records)}
    for name in ("arrival", "admitted", "first_token", "finished"):
        columns[name] = ["" if math.isnan(time) else time for time in columns[name]]
    columns["outcome"] = [OUTCOMES[outcome] for outcome in columns["outcome"]]
    _write_table(path, columns, zip(*columns.values(), strict=True))


def write_rows(path: str | Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the same keys as CSV; what nobody knows is an empty cell.

    Raises:
        SoonestError: the file cannot be written.
        KeyError: a row lacks a key of the first; the old file stays.
    """
    names = list(rows[0]) if rows else []
    _write_table(path, names, ([row[name] for name in names] for row in rows))


def check_target(path: str | Path) -> Path:
    """Refuse, before long work, a target that cannot be written for want of a folder.

    Raises:
        SoonestError: the target is a folder, or lies in none.
    """
    target = Path(path)
    if target.is_dir():
        raise SoonestError(f"cannot write {target}: it is a folder; add a file name")
    if not target.parent.is_dir():
        raise SoonestError(f"cannot write {target}: there is no folder {target.parent}; create it first")
    return target


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write into a temporary file beside the target, then rename: whoever looks sees the old file or the new one.

    A link is followed. A device or a pipe, such as /dev/stdout, is written directly.

    Raises:
        SoonestError: the file cannot be written; what was there before stays.
    """
    target = check_target(path)
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(content)
        else:
            _replace(target.resolve(), content)
    except OSError as error:
        raise SoonestError(f"cannot write {target}: {error.strerror}") from error


def _write_table(path: str | Path, names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode(errors="backslashreplace"))


def _replace(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".soonest-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _plain(value: object) -> object:
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value

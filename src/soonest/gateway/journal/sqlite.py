"""A journal in a file, in SQLite's WAL mode: readers are never in the way, and after a crash no row is torn."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from itertools import islice
from typing import TYPE_CHECKING

from soonest.core import JournalError
from soonest.data.journal.row import COLUMNS
from soonest.data.journal.schema import META, VERSION, VERSIONS, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from soonest.gateway.journal.store import Run, Values

MOST = 1024
"""Rows of one statement: SQLite takes 32,766 values."""
BUSY_SECONDS = 1.0
"""How long a commit waits for another writer before it has failed."""
LARGEST_WAL = 64 << 20
DIALECT = {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "key": "INTEGER PRIMARY KEY", "real": "REAL"}
NOTE = "INSERT OR REPLACE INTO notes (run, key, value) VALUES (?, ?, ?)"


class SQLiteStore:
    """A file, made for its owner alone.

    A group is one statement, so one step that runs without the interpreter's lock: were it one a row, a busy event
    loop would make each of them wait its turn. `durable` waits for the disk at each commit, so that rows outlive a
    power failure as well as a killed process.
    """

    failures = (sqlite3.Error, OSError)
    refusals = (sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)

    def __init__(self, path: Path, run: Run, *, durable: bool = False) -> None:
        self.path = path
        self.run = run
        self.durable = durable
        self._number = 0
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def open(self, notes: Mapping[str, str]) -> None:
        """As `Store` says."""
        self.close()
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.durable else 'NORMAL'}")
        connection.execute(f"PRAGMA journal_size_limit = {LARGEST_WAL}").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        _bring_up_to_date(connection, self.path)
        known = "SELECT run FROM runs WHERE token = ?"
        if connection.execute(known, (self.run.token,)).fetchone() is None:
            connection.execute("INSERT INTO runs (token, started) VALUES (?, ?)", (self.run.token, self.run.started))
        self._number = connection.execute(known, (self.run.token,)).fetchone()[0]
        for key, value in notes.items():
            connection.execute(NOTE, (self._number, key, value))
        connection.execute("COMMIT")
        self._file = self._identity()

    def write(self, rows: Mapping[int, Values], notes: Mapping[str, str]) -> None:
        """As `Store` says.

        A file that was deleted or replaced while it was open takes rows and keeps none, so it is looked for before and
        after.
        """
        connection = self._connection
        if connection is None or self._file is None or self._identity() != self._file:
            raise sqlite3.OperationalError(f"{self.path} is gone or was replaced")
        together = len(rows) > MOST or bool(notes)
        if together:
            connection.execute("BEGIN IMMEDIATE")
        for key, value in notes.items():
            connection.execute(NOTE, (self._number, key, value))
        for values, count in self._groups(rows):
            connection.execute(_insert(count), values)
        if together:
            connection.execute("COMMIT")
        if self._identity() != self._file:
            raise sqlite3.OperationalError(f"{self.path} was replaced during a commit")

    def close(self, ended: float | None = None) -> None:
        """As `Store` says."""
        connection, self._connection, self._file = self._connection, None, None
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            if ended is not None:
                connection.execute("UPDATE runs SET ended = ? WHERE run = ?", (ended, self._number))
        with contextlib.suppress(sqlite3.Error):
            connection.close()

    def _groups(self, rows: Mapping[int, Values]) -> Iterator[tuple[list[object], int]]:
        """Parameters of a few statements, padded with the last row up to a power of two, so that few are prepared."""
        left = iter(rows.items())
        while group := list(islice(left, MOST)):
            group += group[-1:] * ((1 << (len(group) - 1).bit_length()) - len(group))
            run = self._number
            yield [value for place, row in group for value in (number(run, place), run, *row)], len(group)

    def _identity(self) -> tuple[int, int] | None:
        """Which file lies at the path now."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _insert(rows: int) -> str:
    columns = ("number", "run", *COLUMNS)
    place = f"({', '.join('?' * len(columns))})"
    return f"INSERT OR REPLACE INTO requests ({', '.join(columns)}) VALUES {', '.join([place] * rows)}"  # noqa: S608 - our own words


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Run the statements that this file has not seen yet."""
    connection.execute(META)
    found = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    version = int(found[0]) if found else 0
    if version > VERSION:
        raise JournalError(f"{path}: written by a newer soonest (version {version}): update, or name another file")
    for statement in (s for step in VERSIONS[version:] for s in step):
        connection.execute(statement.format(**DIALECT))
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('version', ?)", (str(VERSION),))

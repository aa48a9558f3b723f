"""Reading a journal, also while a gateway writes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from soonest.core import JournalError
from soonest.core.errors import without_password
from soonest.data.journal.place import file_of, is_server, server
from soonest.data.journal.row import COLUMNS, Row, restored
from soonest.data.journal.schema import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Ask = Callable[[str, Mapping[str, object]], Iterator[tuple[Any, ...]]]


def read_journal(
    url: str | Path,
    *,
    since: float | None = None,
    until: float | None = None,
    last: int | None = None,
    prompts: bool = True,
) -> list[Row]:
    """The rows of a journal in the order of their arrival: a file's path, or a server's URL.

    `since` and `until` are arrivals in UNIX seconds, from the first up to but without the second; `last` keeps only so
    many of the newest rows. Without `prompts` their text is not read.

    Raises:
        JournalError: there is no journal, it cannot be read, or a newer `soonest` wrote it.
    """
    columns = [name if prompts or name != "prompt" else "NULL" for name in COLUMNS]
    asked = [("arrival >= :since", since), ("arrival < :until", until)]
    where = " AND ".join(["1 = 1", *(condition for condition, limit in asked if limit is not None)])
    most = "" if last is None else " ORDER BY arrival DESC, number DESC LIMIT :last"
    query = f"SELECT run, number, {', '.join(columns)} FROM requests WHERE {where}{most}"  # noqa: S608 - our own words
    given = {"since": since, "until": until, "last": last}
    with _opened(str(url)) as ask:
        found = list(ask(query, {key: value for key, value in given.items() if value is not None}))
    arrival = 2 + COLUMNS.index("arrival")
    found.sort(key=lambda values: (values[arrival] or 0.0, values[1]))
    try:
        return [restored(values[2:], values[0]) for values in found]
    except (TypeError, ValueError) as error:
        raise JournalError(f"{without_password(str(url))}: a row is not as a journal has it: {error}") from error


def read_notes(url: str | Path, run: int | None = None) -> dict[str, str]:
    """What a run of the gateway said of itself, the newest unless its number is given.

    Raises:
        JournalError: as `read_journal`.
    """
    chosen = "(SELECT max(run) FROM runs)" if run is None else ":run"
    with _opened(str(url)) as ask:
        query = f"SELECT key, value FROM notes WHERE run = {chosen} ORDER BY key"  # noqa: S608 - our own words
        return dict(ask(query, {} if run is None else {"run": run}))


@contextmanager
def _opened(url: str) -> Iterator[Ask]:
    """A way to ask this journal."""
    with _server(url) if is_server(url) else _file(url) as ask:
        version = next(ask("SELECT value FROM meta WHERE key = 'version'", {}), ("0",))[0]
        if int(version) > VERSION:
            raise JournalError(
                f"{without_password(url)}: written by a newer soonest (version {version}): update, to read it"
            )
        yield ask


@contextmanager
def _file(url: str) -> Iterator[Ask]:
    path = file_of(url)
    if not path.is_file():
        raise JournalError(f"no journal {path}: give the file that `soonest serve --journal` writes")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            yield connection.execute
    except sqlite3.Error as error:
        raise JournalError(f"{path}: not a journal, or damaged: {error}") from error


@contextmanager
def _server(url: str) -> Iterator[Ask]:
    engine = server(url, statement_seconds=0)  # a journal may be long
    from sqlalchemy import text  # noqa: PLC0415 - only where a server is named
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        with engine.connect() as connection:
            yield lambda query, given: (tuple(row) for row in connection.execute(text(query), given))
    except SQLAlchemyError as error:
        raise JournalError(f"{without_password(url)}: {getattr(error, 'orig', None) or error}") from error
    finally:
        engine.dispose()

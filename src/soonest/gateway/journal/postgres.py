"""A journal on a PostgreSQL server, which several gateways may share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, Double, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, SQLAlchemyError

from soonest.core import JournalError
from soonest.core.errors import without_password
from soonest.data.journal.place import server
from soonest.data.journal.row import COLUMNS, REALS, TEXTS
from soonest.data.journal.schema import META, VERSION, VERSIONS, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from soonest.gateway.journal.store import Run, Values

DIALECT = {"serial": "BIGSERIAL PRIMARY KEY", "key": "BIGINT PRIMARY KEY", "real": "DOUBLE PRECISION"}
LOCK = 0x50_0E_57
"""The advisory lock under which one gateway brings the schema up to date."""
TABLES = MetaData()
REQUESTS = Table(
    "requests",
    TABLES,
    Column("number", BigInteger, primary_key=True),
    Column("run", BigInteger),
    *(
        Column(name, Double if name in REALS else Text if name in {*TEXTS, "prompt"} else BigInteger)
        for name in COLUMNS
    ),
)
NOTES = Table("notes", TABLES, Column("run", BigInteger), Column("key", Text), Column("value", Text))


class PostgresStore:
    """One connection, made anew after a failure."""

    failures = (SQLAlchemyError, OSError)
    refusals = (DataError,)

    def __init__(self, url: str, run: Run) -> None:
        self.run = run
        self._name = without_password(url)
        self._engine = server(url)
        self._number = 0
        self._connection: Connection | None = None
        new = insert(REQUESTS)
        changed = {name: new.excluded[name] for name in COLUMNS}
        self._insert = new.on_conflict_do_update(index_elements=["number"], set_=changed)
        note = insert(NOTES)
        self._note = note.on_conflict_do_update(index_elements=["run", "key"], set_={"value": note.excluded.value})

    def open(self, notes: Mapping[str, str]) -> None:
        """As `Store` says."""
        self.close()
        connection = self._connection = self._engine.connect()
        with connection.begin():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            self._bring_up_to_date(connection)
            connection.execute(
                text("INSERT INTO runs (token, started) VALUES (:token, :started) ON CONFLICT (token) DO NOTHING"),
                {"token": self.run.token, "started": self.run.started},
            )
            found = connection.execute(text("SELECT run FROM runs WHERE token = :token"), {"token": self.run.token})
            self._number = found.scalar_one()
            self._write_notes(connection, notes)

    def write(self, rows: Mapping[int, Values], notes: Mapping[str, str]) -> None:
        """As `Store` says."""
        connection, run = self._connection, self._number
        if connection is None:
            raise OSError(f"no connection to {self._name}")
        with connection.begin():
            self._write_notes(connection, notes)
            if rows:
                given = [
                    dict(zip(COLUMNS, values, strict=True), number=number(run, place), run=run)
                    for place, values in rows.items()
                ]
                connection.execute(self._insert, given)

    def close(self, ended: float | None = None) -> None:
        """As `Store` says."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(SQLAlchemyError, OSError):
            if ended is not None:
                with connection.begin():
                    parameters = {"ended": ended, "run": self._number}
                    connection.execute(text("UPDATE runs SET ended = :ended WHERE run = :run"), parameters)
        with contextlib.suppress(SQLAlchemyError, OSError):
            connection.close()

    def _write_notes(self, connection: Connection, notes: Mapping[str, str]) -> None:
        if notes:
            given = [{"run": self._number, "key": key, "value": value} for key, value in notes.items()]
            connection.execute(self._note, given)

    def _bring_up_to_date(self, connection: Connection) -> None:
        """Run the statements that this database has not seen yet."""
        connection.execute(text(META))
        found = connection.execute(text("SELECT value FROM meta WHERE key = 'version'")).scalar()
        version = int(found or 0)
        if version > VERSION:
            raise JournalError(f"{self._name}: written by a newer soonest (version {version}): update this one")
        for statement in (s for step in VERSIONS[version:] for s in step):
            connection.execute(text(statement.format(**DIALECT)))
        connection.execute(
            text(
                "INSERT INTO meta (key, value) VALUES ('version', :version) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            ),
            {"version": str(VERSION)},
        )

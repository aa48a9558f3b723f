"""Where a journal lies: a file of SQLite's, or a PostgreSQL server by its URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from soonest.core import JournalError
from soonest.core.errors import without_password

if TYPE_CHECKING:
    from sqlalchemy import Engine

POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 5


def is_server(url: str) -> bool:
    """Whether this names a PostgreSQL server, and not a file.

    Raises:
        JournalError: it is the URL of something else.
    """
    scheme, sign, _ = url.partition("://")
    if sign and scheme not in {*POSTGRES, "sqlite", "file"}:
        raise JournalError(f"no journal in {scheme!r}: give the path of a file, or postgresql://USER@HOST/DATABASE")
    return bool(sign) and scheme in POSTGRES


def file_of(url: str) -> Path:
    """The file of a SQLite journal: a path, `sqlite:///relative` or `sqlite:////absolute`."""
    scheme, sign, rest = url.partition("://")
    return Path(rest.removeprefix("/") if sign and scheme == "sqlite" else rest if sign else url)


NEEDS_EXTRA: Final = "a journal in PostgreSQL needs an extra: pip install 'soonest[postgres]'"


def server(url: str, statement_seconds: float = STATEMENT_SECONDS) -> Engine:
    """A server to talk to, from one thread; it gives up after seconds rather than hang.

    A statement has so many; 0: as long as it takes.

    Raises:
        JournalError: the extra is not installed, or the URL is none.
    """
    try:
        from sqlalchemy import create_engine  # noqa: PLC0415 - only where a server is named
        from sqlalchemy.exc import ArgumentError  # noqa: PLC0415
        from sqlalchemy.pool import NullPool  # noqa: PLC0415
    except ImportError:
        raise JournalError(NEEDS_EXTRA) from None
    rest = url.partition("://")[2]
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "options": f"-c statement_timeout={1000 * statement_seconds:.0f} -c lock_timeout={1000 * STATEMENT_SECONDS}",
        "tcp_user_timeout": 1000 * STATEMENT_SECONDS,
        "application_name": "soonest",
    }
    try:
        return create_engine(f"postgresql+psycopg://{rest}", connect_args=arguments, poolclass=NullPool)
    except (ArgumentError, ValueError, ImportError) as error:
        raise JournalError(f"{without_password(url)}: {error}") from error

"""How a journal lies in a database, by version; a journal of an older version is brought up to date when it is opened.

`meta` holds the version, `runs` a line for each run of a gateway, `notes` what a run says of itself, and `requests` a
line for each request under a number that begins with its run's.
"""

from __future__ import annotations

from typing import Final

from soonest.data.journal.row import COLUMNS, REALS, TEXTS

RUN_BITS: Final = 40
"""A request's number is its run's, shifted by so many bits, and its place in the run."""


def number(run: int, place: int) -> int:
    """The key of a run's request."""
    return (run << RUN_BITS) | place


def _kind(column: str) -> str:
    if column in REALS:
        return "{real}"
    return "TEXT" if column in TEXTS or column == "prompt" else "BIGINT"


_REQUESTS: Final = ", ".join(f"{name} {_kind(name)}" for name in COLUMNS)
VERSIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE runs (run {serial}, token TEXT UNIQUE NOT NULL, started {real}, ended {real})",
        "CREATE TABLE notes (run BIGINT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, key))",
        f"CREATE TABLE requests (number {{key}}, run BIGINT NOT NULL, {_REQUESTS})",
        "CREATE INDEX requests_arrival ON requests (arrival)",
    ),
)
"""Statements that lead from each version to the next; `{serial}`, `{key}` and `{real}` differ between databases."""
META: Final = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
VERSION: Final = len(VERSIONS)

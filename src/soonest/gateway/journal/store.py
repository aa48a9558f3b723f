"""What a journal's thread asks of a database."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Values = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a gateway: what it is recognised by when the database comes back, and when it began (UNIX seconds)."""

    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.time)


class Store(Protocol):
    """A database. Everything is called from one thread, except the first `open`."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What it raises when it fails, and may work again later."""

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """What it raises when it will never take this row."""

    def open(self, notes: Mapping[str, str]) -> None:
        """Connect, bring the schema up to date, and enter this run with its notes."""

    def write(self, rows: Mapping[int, Values], notes: Mapping[str, str]) -> None:
        """Commit rows by their place in the run, and notes: all or none of each thousand. A row replaces an older."""

    def close(self, ended: float | None = None) -> None:
        """Let go of the connection; `ended` is when the run ended, if it did. Never raises."""

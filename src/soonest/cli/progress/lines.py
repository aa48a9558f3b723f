"""How far long work is, in lines: for a log, or whoever reads stderr through a pipe."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 10.0
"""Seconds between two lines, at least."""


class Lines:
    """A line of so much done, at most every ten seconds; none on a terminal, which has a bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def tell(self, what: str, done: int, of: int) -> None:
        """So much of it is done."""
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last >= EVERY:
            self._last = now
            self._console.print(f"{what}: {done:,} of {of:,}", markup=False, highlight=False, soft_wrap=True)

"""Engines and gateways of our own, as child processes that say where they listen."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from soonest.core import SoonestError
from soonest.engines.process import begun, ended, ready
from soonest.report.study.origin import masked

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Sequence
    from typing import IO

CHILD: Final = """
import os
for name in [*os.environ]:
    if name.startswith(("SOONEST_SERVE_", "SOONEST_ENGINE_")):
        del os.environ[name]
from soonest.engines.parent import live_with_parent
live_with_parent()
from soonest.cli import main
main()
"""
"""Variables that set flags of `soonest serve` and `soonest engine` are meant for others: here the words alone count."""
COMMAND: Final = (sys.executable, "-c", CHILD)
"""`soonest`, in a process that ends when this one does, however that ends."""
QUIET: Final = ("--port", "0", "--journal", "none", "--log-level", "warning", "--log-share", "0")
"""Of a gateway that is measured."""
READY_SECONDS: Final = 120.0
STOP_SECONDS: Final = 10.0
COMPLAINT: Final = 2000
"""Characters of a dead child's stderr that are shown."""


@asynccontextmanager
async def serving(*words: str, command: Sequence[str] = COMMAND) -> AsyncIterator[str]:
    """Run `soonest` with these words until the block ends; gives the URL that its first line of stdout tells.

    What it says on stderr is kept, and shown if it does not come up.

    Raises:
        SoonestError: it died, or said nothing in two minutes.
    """
    with tempfile.TemporaryFile() as said:
        process = await begun((*command, *words), said)
        try:
            yield await _address(process, words, said)
        finally:
            await ended(process, STOP_SECONDS)


async def _address(process: Process, words: Sequence[str], said: IO[bytes]) -> str:
    facts = None
    with suppress(TimeoutError):
        facts = await asyncio.wait_for(ready(process), READY_SECONDS)
    if facts is None:
        said.seek(0)
        complaint = said.read().decode(errors="replace").strip()[-COMPLAINT:]
        raise SoonestError(f"`soonest {' '.join(masked(words))}` did not start: {complaint or 'it said nothing'}")
    return str(facts["url"])

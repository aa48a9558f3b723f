"""Engines and gateways of our own, as child processes that say where they listen."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from soonest.core import SoonestError

if TYPE_CHECKING:
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
        process = await asyncio.create_subprocess_exec(
            *command,
            *words,
            stdin=asyncio.subprocess.PIPE,  # closed when we end
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for us: what runs still has to be answered and counted
        )
        try:
            yield await _address(process, words, said)
        finally:
            await _stopped(process)


async def _address(process: asyncio.subprocess.Process, words: Sequence[str], said: IO[bytes]) -> str:
    assert process.stdout is not None  # noqa: S101 - it is a pipe, as asked above
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
        return str(json.loads(line)["url"])
    except (TimeoutError, ValueError, KeyError, TypeError):
        said.seek(0)
        complaint = said.read().decode(errors="replace").strip()[-COMPLAINT:]
        raise SoonestError(f"`soonest {' '.join(words)}` did not start: {complaint or 'it said nothing'}") from None


async def _stopped(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, and make it end."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

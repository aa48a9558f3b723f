"""Processes of ours that say where they listen: begun, ready, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence


async def begun(words: Sequence[str], stderr: IO[bytes] | None = None) -> Process:
    """A process whose standard input closes when we end; what it says on stderr goes to ours unless set."""
    return await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # an interrupt from the keyboard is ours to hand on
    )


async def ready(process: Process) -> dict[str, Any] | None:
    """What its first line of JSON tells, other lines going to our stderr; `None` if it ends without one."""
    while said := await line(process):
        with contextlib.suppress(ValueError):
            facts = json.loads(said)
            if isinstance(facts, dict) and "url" in facts:
                return facts
        sys.stderr.write(said)
    return None


async def line(process: Process) -> str:
    """The next line on its stdout, or nothing at the end; one that is too long is passed over."""
    if process.stdout is None:
        return ""
    try:
        return (await process.stdout.readline()).decode(errors="replace")
    except ValueError:
        return "\n"


async def ended(process: Process, grace: float) -> bool:
    """Ask it to end, and kill it after `grace` seconds; whether it ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), grace)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return False
    return True

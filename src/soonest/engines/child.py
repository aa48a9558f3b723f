"""An engine as a child process: started, watched, restarted, and gone when its parent is."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any

from soonest.core import SoonestError
from soonest.engines.process import begun, ended, line, ready

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger("soonest.engine")
COMMAND = (sys.executable, "-m", "soonest", "engine")
LONG_LIFE_SECONDS = 60.0
"""A child that lived this long starts again at once when it dies."""


class ChildError(SoonestError):
    """A child that ended, or said nothing, before it was ready."""


class Child:
    """`soonest engine` with these arguments, in a process of its own.

    `start` returns its URL once it takes requests. Should it die later, it is started again, at first at once and then
    after pauses that double up to `longest_pause` seconds; `changed` hears `None` when it dies and the new URL when it
    is back. What it writes goes to our stderr. It ends when this process does, however that ends, because its standard
    input closes and, on Linux, because the kernel kills it; there it also ends with the thread that started it.

    Raises:
        ChildError: it ended before it was ready, or was not ready within `timeout` seconds.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        changed: Callable[[str | None], None] | None = None,
        timeout: float = 300.0,
        grace: float = 30.0,
        first_pause: float = 0.5,
        longest_pause: float = 30.0,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.arguments, self.command = tuple(arguments), tuple(command)
        self.changed = changed
        self.timeout, self.grace = timeout, grace
        self.first_pause, self.longest_pause = first_pause, longest_pause
        self.url: str | None = None
        self.model: str | None = None
        self.restarts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether it is ready and has not ended."""
        return self.url is not None and self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The number of its process, while there is one."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> str:
        """Start it and wait until it takes requests; its URL."""
        self._stopping = False
        url = await self._begin()
        self._watching = asyncio.create_task(self._watch())
        return url

    async def stop(self) -> None:
        """Ask it to end, and kill it after `grace` seconds."""
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
            self._watching = None
        await self._end()

    async def _begin(self) -> str:
        process = self._process = await begun((*self.command, *self.arguments, "--with-parent"))
        try:
            facts = await asyncio.wait_for(_facts(process), self.timeout)
        except TimeoutError:
            await self._end()
            raise ChildError(f"the engine was not ready within {self.timeout:g} s; give it more time") from None
        except BaseException:
            await self._end()
            raise
        self.url, self.model = str(facts["url"]), str(facts.get("model", ""))
        self._reading = asyncio.create_task(self._pass_on(process))
        return self.url

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        while said := await line(process):
            sys.stderr.write(said)

    async def _watch(self) -> None:
        pause = 0.0
        loop = asyncio.get_running_loop()
        while self._process is not None:
            began = loop.time()
            status = await self._process.wait()
            self.url = None
            log.warning("the engine ended with status %d; starting it again", status)
            self._tell(None)
            pause = await self._again(0.0 if loop.time() - began > LONG_LIFE_SECONDS else pause)
            self.restarts += 1
            self._tell(self.url)

    async def _again(self, pause: float) -> float:
        """Start it until it starts; the pause before the next time."""
        while True:
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, self.first_pause), self.longest_pause)
            try:
                await self._begin()
            except (ChildError, OSError) as error:
                log.warning("%s; next try in %g s", error, pause)
            else:
                return pause

    def _tell(self, url: str | None) -> None:
        if self.changed is not None:
            self.changed(url)

    async def _end(self) -> None:
        self.url = None
        process = self._process
        if process is None:
            return
        if process.returncode is None and not await ended(process, self.grace):
            log.warning("the engine did not end within %g s: killed", self.grace)
        if self._reading is not None:
            await asyncio.wait({self._reading})
            self._reading = None
        if process.stdin is not None:
            process.stdin.close()


async def _facts(process: asyncio.subprocess.Process) -> dict[str, Any]:
    facts = await ready(process)
    if facts is None:
        status = await process.wait()
        raise ChildError(f"the engine ended with status {status} before it was ready; what it said is above")
    return facts

"""Engines and gateways as processes at fixed addresses, which are killed at random and started again."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

START_SECONDS: Final = 120.0
MOST_AWAY: Final = 2
"""Processes that are killed and not back yet, so that on a slow machine something is left."""
KEYS: Final = """
[[key]]
name = "two"
key = "the-key-of-tenant-two"
weight = 2.0

[[key]]
name = "one"
key = "the-key-of-tenant-one"
weight = 1.0
"""
"""Two tenants, of which one is to get twice as much as the other."""
TENANTS: Final = {"two": "the-key-of-tenant-two", "one": "the-key-of-tenant-one"}
WEIGHTS: Final = {"two": 2.0, "one": 1.0}


@dataclass
class Process:
    """A server that listens at one port as often as it is started."""

    name: str
    words: Sequence[str]
    port: int
    log: Path
    starts: int = 0
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it; it takes requests a little later."""
        paths = [str(Path.cwd()), os.getenv("PYTHONPATH")]
        path = os.pathsep.join(part for part in paths if part)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own commands
                [sys.executable, *self.words, "--port", str(self.port)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
            )
        self.starts += 1

    def kill(self) -> None:
        """End it as a fault of the machine would: at once, without a word."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def end(self) -> None:
        """Ask it to end, and see to it that it does."""
        if self._child is not None and self.runs:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(20)
        self.kill()

    def wait(self) -> None:
        """Until it takes connections.

        Raises:
            RuntimeError: it ended, or took too long.
        """
        end = time.monotonic() + START_SECONDS
        while not self.listens():
            if not self.runs or time.monotonic() > end:
                raise RuntimeError(f"{self.name} did not start: {self.log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.05)

    def listens(self) -> bool:
        """Whether it takes connections now."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False


@dataclass(frozen=True)
class Stand:
    """Engines, and gateways that all stand before all of them."""

    engines: tuple[Process, ...]
    gateways: tuple[Process, ...]

    @property
    def all(self) -> tuple[Process, ...]:
        """Every process."""
        return self.engines + self.gateways


@contextmanager
def standing(folder: Path, engines: int, gateways: int, slots: int, step_ms: float) -> Iterator[Stand]:
    """Fake engines of so many slots and so many milliseconds a token, and gateways with two tenants, until the end."""
    ports = iter(free_ports(engines + gateways))
    keys = folder / "keys.toml"
    keys.write_text(KEYS, "utf-8")
    keys.chmod(0o600)
    fake = ["-m", "tests.fakes.engine", "--slots", str(slots), "--step-ms", str(step_ms)]
    made = tuple(Process(f"engine {i}", fake, next(ports), folder / f"engine{i}.log") for i in range(engines))
    before = [word for one in made for word in ("--engine", one.url)]
    serve = ["-m", "soonest", "serve", *before, "--policy", "fcfs", "--predictor", "constant", "--keys", str(keys)]
    serve += ["--journal", "none", "--log-share", "0"]
    doors = tuple(Process(f"gateway {i}", serve, next(ports), folder / f"gateway{i}.log") for i in range(gateways))
    stand = Stand(made, doors)
    with ExitStack() as running:
        for one in stand.all:
            running.callback(one.end)
            one.start()
        for one in stand.all:
            one.wait()
        yield stand


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


async def kill_at_random(stand: Stand, draw: random.Random, every: tuple[float, float]) -> dict[str, int]:
    """Until cancelled, kill one of the processes that run and start it again a little later; how often each was."""
    killed = {one.name: 0 for one in stand.all}
    away: set[asyncio.Task[None]] = set()
    try:
        while True:
            await asyncio.sleep(draw.uniform(*every))
            one = draw.choice(stand.all)
            if one.runs and len(away) < MOST_AWAY:
                one.kill()
                killed[one.name] += 1
                task = asyncio.create_task(_back(one, draw.uniform(0.2, 2.0)))
                away.add(task)
                task.add_done_callback(away.discard)
    except asyncio.CancelledError:
        await asyncio.gather(*away)
        return killed


async def _back(one: Process, after: float) -> None:
    await asyncio.sleep(after)
    one.start()
    while one.runs and not one.listens():  # noqa: ASYNC110 - another process does not tell us
        await asyncio.sleep(0.1)


async def watch(stand: Stand, seconds: float, seen: list[tuple[int, int]]) -> None:
    """Until cancelled, note every so often how many wait and run in each engine."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session:
        while True:
            for one in stand.engines:
                with suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.get(f"{one.url}/seen") as answer:
                        said = await answer.json(content_type=None)
                        seen.append((said["waiting"], said["running"]))
            await asyncio.sleep(seconds)

"""Load over raw sockets: at a pace, or as fast as answers come back; by `wrk` where that is installed."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

END: Final = b"0\r\n\r\n"
LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
SCRIPT: Final = """local bodies = {%s}
local requests, turn = {}, 0
init = function()
  for i, body in ipairs(bodies) do
    requests[i] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body)
  end
end
request = function()
  turn = turn %% #requests + 1
  return requests[turn]
end
"""


@dataclass(slots=True)
class Timed:
    """When one request left, when its first event came, and when all of it had; seconds on `time.perf_counter`."""

    left: float
    first: float = 0.0
    ended: float = 0.0
    events: int = 0
    status: int = 0


@dataclass(slots=True)
class Target:
    """An address, and the bytes of a request to it."""

    host: str
    port: int
    sent: bytes = field(repr=False)

    @classmethod
    def of(cls, url: str, body: bytes) -> Target:
        """A chat request with this body."""
        host, _, port = url.removeprefix("http://").partition(":")
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return cls(host, int(port), head.encode() + body)


class Link(asyncio.Protocol):
    """One connection with one request at a time on it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.timed = Timed(0.0)
        self.done: Callable[[Link], None] = lambda _: None
        self.heard: Callable[[int], None] = lambda _: None
        self._came = b""
        self._whole = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        """A request without an end has failed."""
        if self.timed.left and not self.timed.ended:
            raise ConnectionError(f"a connection broke in the middle of an answer: {error}")

    def ask(self, sent: bytes) -> None:
        """Send a request."""
        self._came, self._whole = b"", -1
        self.timed = Timed(time.perf_counter())
        assert self.transport is not None  # noqa: S101 - it is connected
        self.transport.write(sent)

    def data_received(self, data: bytes) -> None:
        """Count events; the end is where the length or the last chunk says."""
        timed = self.timed
        events = data.count(b"data: {")
        if events and not timed.first:
            timed.first = time.perf_counter()
        timed.events += events
        if events:
            self.heard(events)
        self._came = self._came + data if self._whole else self._came[-len(END) :] + data
        if self._whole < 0:
            head, found, _ = self._came.partition(b"\r\n\r\n")
            if not found:
                return
            timed.status = int(head[9:12])
            length = LENGTH.search(head)
            self._whole = len(head) + 4 + int(length[1]) if length else 0
        if (len(self._came) >= self._whole) if self._whole else self._came.endswith(END):
            timed.ended = time.perf_counter()
            self.done(self)


async def connected(target: Target) -> Link:
    """A new connection."""
    _, link = await asyncio.get_running_loop().create_connection(Link, target.host, target.port)
    return link


async def paced(targets: list[Target], a_second: float, seconds: float) -> list[Timed]:
    """Open loop: requests leave at equal distances, whatever comes back."""
    idle: deque[Link] = deque()
    timed: list[Timed] = []

    def done(link: Link) -> None:
        timed.append(link.timed)
        idle.append(link)

    loop, count = asyncio.get_running_loop(), round(a_second * seconds)
    for _ in range(4):
        idle.append(await connected(targets[0]))
    begun = loop.time()
    for i in range(count):
        await asyncio.sleep(max(0.0, begun + i / a_second - loop.time()))
        link = idle.popleft() if idle else await connected(targets[0])
        link.done = done
        link.ask(targets[i % len(targets)].sent)
    async with asyncio.timeout(60):
        while len(timed) < count:  # noqa: ASYNC110 - simple, and not measured
            await asyncio.sleep(0.01)
    for link in idle:
        if link.transport is not None:
            link.transport.close()
    return timed


async def closed(targets: list[Target], connections: int, warm: float, seconds: float) -> tuple[int, int, float]:
    """Closed loop over these requests in turn: answers and events between `warm` and the end, and the seconds of it."""
    counts, turn = [0, 0], 0
    begun, ending = time.perf_counter(), False

    def counting() -> bool:
        return warm <= time.perf_counter() - begun < warm + seconds

    def done(link: Link) -> None:
        nonlocal turn
        counts[0] += counting()
        if not ending:
            turn += 1
            link.ask(targets[turn % len(targets)].sent)

    def heard(events: int) -> None:
        counts[1] += events * counting()

    links = [await connected(targets[0]) for _ in range(connections)]
    for link in links:
        link.done, link.heard = done, heard
        done(link)
    await asyncio.sleep(warm + seconds + 0.01)
    ending = True
    for link in links:
        link.timed.ended = 1.0
        if link.transport is not None:
            link.transport.abort()
    return counts[0], counts[1], seconds


T = TypeVar("T")


def run(what: Coroutine[None, None, T]) -> T:
    """On uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(what)


def wrk() -> str | None:
    """Where it is, if it is installed."""
    return shutil.which("wrk")


async def flat_out(url: str, bodies: list[bytes], connections: int, seconds: float, on: list[str]) -> tuple[int, float]:
    """Answers, and the seconds in which they came, with every connection asking again at once."""
    command = wrk()
    if command is None:
        answers, _, took = await closed([Target.of(url, body) for body in bodies], connections, 0.0, seconds)
        return answers, took
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % ", ".join(f"[==[{body.decode()}]==]" for body in bodies))
        script.flush()
        lasts = f"-d{max(1, round(seconds))}s"
        words = ["-t1", f"-c{connections}", lasts, "--timeout", "30s", "-s", script.name, f"{url}/v1/chat/completions"]
        child = await asyncio.create_subprocess_exec(*on, command, *words, stdout=asyncio.subprocess.PIPE)
        out, _ = await child.communicate()
    told = out.decode()
    found = re.search(r"([1-9]\d*) requests in ([\d.]+)(m?s)", told)
    if found is None or "Non-2xx" in told or re.search(r"(connect|read|write) [1-9]", told):
        raise RuntimeError(f"not all was answered: {told}")
    return int(found[1]), float(found[2]) / (1000 if found[3] == "ms" else 1)

"""Load: calls that leave at their times whatever happens, or one after another."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Self

import aiohttp

from soonest.bench.answer import Answer
from soonest.bench.ran import Ran
from soonest.core import Outcome, SoonestError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from soonest.bench.call import Call, Endpoint

LEAD = 0.05
"""Seconds between the start of a run and its first departure: time to make the tasks."""
IDLE = 2.0
"""Seconds after which an idle connection is not used again: servers close theirs after five, and a request that
crosses the closing would fail for no fault of the server."""
LONGEST_COMPLAINT = 200

now = time.perf_counter


class Load:
    """A client of one endpoint; use it as an async context.

    `watch` hears of each call as it leaves (`None`) and as it ends. Interrupted, a run keeps what there is.
    """

    def __init__(self, endpoint: Endpoint, watch: Callable[[Answer | None], None] = lambda _: None) -> None:
        self.endpoint = endpoint
        self.watch = watch
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Make the connections' pool, which has no limit: a limit would hold departures back."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE)
        timeout = aiohttp.ClientTimeout(total=self.endpoint.timeout)
        self._session = await self._open.enter_async_context(
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, headers=self.endpoint.headers, auto_decompress=True
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._open.aclose()

    async def open_loop(
        self,
        calls: Sequence[Call],
        at: NDArray[np.float64],
        *,
        oracle: bool = False,
        most: int | None = None,
        name: str = "bench",
    ) -> Ran:
        """Send each call `at` its time in seconds from the start, then wait for all answers.

        With `most` no more than so many are under way: then departures wait, as in `vllm bench serve`, and the loop is
        not open any more.
        """
        bodies = [self.endpoint.body(call, oracle=oracle) for call in calls]
        gate = None if most is None else asyncio.Semaphore(most)
        answers: list[Answer] = []
        start = now() + LEAD

        async def leave(number: int, due: float) -> None:
            waited = gate is not None and gate.locked()
            async with gate or nullcontext():
                await self._ask(f"{name}-{number}", calls[number], bodies[number], now() if waited else due, answers)

        async def depart() -> None:
            async with asyncio.TaskGroup() as tasks:
                for number, offset in enumerate(at.tolist()):
                    if (early := start + offset - now()) > 0:
                        await asyncio.sleep(early)
                    tasks.create_task(leave(number, start + offset))

        return Ran(answers, start, await interrupted(depart()), most is None)

    async def closed_loop(
        self, calls: Sequence[Call], concurrency: int, *, seconds: float = math.inf, name: str = "bench"
    ) -> Ran:
        """Keep `concurrency` calls under way until all are answered, or for so many seconds, then wait for the rest."""
        if concurrency < 1:
            raise SoonestError(f"a closed loop needs at least one call under way, got {concurrency}")
        waiting = iter(enumerate(calls))
        answers: list[Answer] = []
        start = now()

        async def work(waiting: Iterator[tuple[int, Call]]) -> None:
            for number, call in waiting:
                await self._ask(f"{name}-{number}", call, self.endpoint.body(call), now(), answers)
                if now() - start > seconds:
                    return

        async def workers() -> None:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(concurrency, len(calls))):
                    tasks.create_task(work(waiting))

        return Ran(answers, start, await interrupted(workers()), open=False)

    async def _ask(self, name: str, call: Call, body: bytes, due: float, answers: list[Answer]) -> None:
        """One call; whatever goes wrong is its answer."""
        answer = Answer(name, due, now(), call.prompt.length)
        answers.append(answer)
        self.watch(None)
        try:
            headers = {"X-Request-Id": name}
            async with self._session.post(self.endpoint.target, data=body, headers=headers) as response:
                answer.queue_ms = _milliseconds(response.headers.get("x-soonest-queue-ms"))
                if response.status != 200:
                    answer.fail(
                        f"HTTP {response.status}",
                        Outcome.REJECTED if response.status in {429, 503, 504} else Outcome.FAILED,
                    )
                elif response.content_type == "text/event-stream":
                    async for data in response.content.iter_any():
                        answer.feed(data, now())
                else:
                    answer.whole(await response.read(), now())
                answer.end()
        except TimeoutError:
            answer.fail("timeout")
        except (aiohttp.ClientError, OSError) as error:
            answer.fail(_words(error))
        except asyncio.CancelledError:
            answer.fail("interrupted", Outcome.CANCELLED)
            raise
        finally:
            self.watch(answer)


async def interrupted(work: Coroutine[None, None, None]) -> bool:
    """Await the work; true if Ctrl-C ended it, whose cancelling stops here, so that what there is can be told."""
    try:
        await work
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        return True
    return False


def _milliseconds(word: str | None) -> float:
    try:
        return float(word or "nan")
    except ValueError:
        return math.nan


def _words(error: Exception) -> str:
    """A reason that is the same for the same kind of failure, so that reasons can be counted."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
    return {"ServerDisconnectedError": "disconnected", "ClientPayloadError": "broke off"}.get(
        type(error).__name__, type(error).__name__
    )[:LONGEST_COMPLAINT]

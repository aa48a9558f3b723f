"""Forecasts within a time budget, and answers to learn from, with the predictor in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from soonest.core import Forecast, PredictorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from soonest.core import Prompt
    from soonest.predict.predictor import Predictor

MOST_AT_ONCE = 32
"""Prompts that the thread asks about together."""
MOST_WAITING = 4096
"""Answers that wait to be learned from; older ones are forgotten."""
LOG = logging.getLogger("soonest.forecasts")


class Made(NamedTuple):
    """A forecast, how many seconds it took, and why it is `unknown` if something went wrong."""

    forecast: Forecast
    seconds: float
    fallback: str = ""


class _Asked(NamedTuple):
    prompt: Prompt
    answer: asyncio.Future[Forecast]
    loop: asyncio.AbstractEventLoop


class Forecasting:
    """Asks a predictor before a request waits, and tells it of every answer.

    A predictor that is `quick` is asked on the event loop. Any other works in one thread: it has `budget` seconds, then
    the forecast is `unknown`, with the reason: `timeout`, `busy` (it is still at earlier prompts), or `error`. A
    predictor that fails is never asked to do the same again for this request, and serving goes on. `failures` counts
    the forecasts that were not made; what went wrong is told to the host's `log`.
    """

    def __init__(self, predictor: Predictor | None, budget: float = 0.05, log: logging.Logger = LOG) -> None:
        self.predictor, self.budget, self.log = predictor, budget, log
        self.failures = 0
        self._asked: deque[_Asked] = deque()
        self._told: deque[Callable[[], None]] = deque(maxlen=MOST_WAITING)
        self._work = threading.Event()
        self._ending = False
        self._failed: set[str] = set()
        self._thread: threading.Thread | None = None
        if predictor is not None and not predictor.quick:
            self._thread = threading.Thread(target=self._run, name="soonest-forecasts", daemon=True)
            self._thread.start()

    async def ask(self, prompt: Prompt) -> Made:
        """The forecast of one prompt; never raises."""
        if self.quick:
            return self.at_once(prompt)
        started = time.perf_counter()
        made, reason = await self._in_time(prompt)
        return self._made(prompt, made, reason, time.perf_counter() - started)

    @property
    def quick(self) -> bool:
        """Whether `at_once` may be asked."""
        return self._thread is None

    def at_once(self, prompt: Prompt) -> Made:
        """The forecast of one prompt by a `quick` predictor, or by none; never raises."""
        if self.predictor is None:
            return Made(Forecast.unknown(prompt.max_tokens), 0.0)
        started = time.perf_counter()
        made, reason = self._now(prompt)
        return self._made(prompt, made, reason, time.perf_counter() - started)

    def _made(self, prompt: Prompt, made: Forecast | None, reason: str, seconds: float) -> Made:
        if isinstance(made, Forecast):
            return Made(made, seconds)
        self.failures += 1
        return Made(Forecast.unknown(prompt.max_tokens), seconds, reason or "error")

    def learn(self, prompt: Prompt, tokens: int, *, censored: bool) -> None:
        """An answer ended after so many tokens, or was cut there."""
        predictor = self.predictor
        if predictor is not None:
            self._tell(lambda: predictor.update(prompt, tokens, censored))

    def running(self, generated: Mapping[str, int]) -> None:
        """Tokens that each running answer has so far, by request id."""
        predictor = self.predictor
        if predictor is not None:
            self._tell(lambda: predictor.running(generated))

    def close(self) -> None:
        """Let the thread end; it is not waited for, since a predictor may be stuck."""
        self._ending = True
        self._work.set()

    def _now(self, prompt: Prompt) -> tuple[Forecast | None, str]:
        try:
            return self.predictor.predict([prompt])[0], ""  # type: ignore[union-attr]
        except Exception as error:  # noqa: BLE001 - whatever a plug-in raises, the request is served
            self._report("predict", error)
            return None, "error"

    async def _in_time(self, prompt: Prompt) -> tuple[Forecast | None, str]:
        if len(self._asked) >= MOST_AT_ONCE * 4:
            return None, "busy"
        loop = asyncio.get_running_loop()
        asked = _Asked(prompt, loop.create_future(), loop)
        self._asked.append(asked)
        self._work.set()
        timer = loop.call_later(self.budget, asked.answer.cancel)
        try:
            return await asked.answer, ""
        except asyncio.CancelledError:
            if not asked.answer.cancelled():  # it is the request that was cancelled, by its client
                asked.answer.cancel()
                raise
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return None, "timeout"
        except Exception:  # noqa: BLE001 - reported where it was raised
            return None, "error"
        finally:
            timer.cancel()

    def _tell(self, news: Callable[[], None]) -> None:
        if self._thread is None:
            self._try(news)
        else:
            self._told.append(news)
            self._work.set()

    def _run(self) -> None:
        """The thread: prompts first, then one piece of news at a time."""
        while not self._ending:
            self._work.wait()
            self._work.clear()
            while (self._asked or self._told) and not self._ending:
                if self._asked:
                    self._answer([self._asked.popleft() for _ in range(min(len(self._asked), MOST_AT_ONCE))])
                elif self._told:
                    self._try(self._told.popleft())

    def _answer(self, batch: list[_Asked]) -> None:
        batch = [asked for asked in batch if not asked.answer.done()]
        if not batch:
            return
        try:
            said: Sequence[Forecast | Exception] = self.predictor.predict([asked.prompt for asked in batch])  # type: ignore[union-attr]
            if len(said) != len(batch):
                raise PredictorError(f"{len(said)} forecasts for {len(batch)} prompts")  # noqa: TRY301 - as its own
        except Exception as error:  # noqa: BLE001 - as above
            self._report("predict", error)
            said = [error] * len(batch)
        for asked, one in zip(batch, said, strict=False):
            with suppress(RuntimeError):  # the loop has ended meanwhile
                asked.loop.call_soon_threadsafe(_settle, asked.answer, one)

    def _try(self, news: Callable[[], None]) -> None:
        try:
            news()
        except Exception as error:  # noqa: BLE001 - as above
            self._report("update", error)

    def _report(self, what: str, error: Exception) -> None:
        """Once for each kind of failure: what happens with every request would fill the log."""
        kind = f"{what}: {type(error).__name__}"
        if kind not in self._failed:
            self._failed.add(kind)
            self.log.error("the predictor failed at %s; requests go on without (said once)", kind)


def _settle(answer: asyncio.Future[Forecast], said: Forecast | Exception) -> None:
    if answer.done():
        return
    if isinstance(said, Exception):
        answer.set_exception(said)
    else:
        answer.set_result(said)

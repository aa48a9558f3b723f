"""Forecasts for an engine that stands alone: a hint from the sender, else a predictor, else none."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from soonest.core import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from soonest.core import Forecast

log = logging.getLogger("soonest.engine")


class Predicts(Protocol):
    """What is asked of a predictor; any of `soonest.predict` will do."""

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """A forecast for each prompt."""

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002 - as predictors have it
        """Learn from one answer."""


class Forecasting:
    """A predictor in a thread of its own, so that it holds up neither the engine nor the server; it may be missing.

    A predictor that fails or takes longer than `budget` seconds gives no forecast, and serving goes on.
    """

    def __init__(self, predictor: Predicts | None = None, budget: float = 1.0) -> None:
        self.predictor, self.budget = predictor, budget
        self.failures = 0
        self._thread = ThreadPoolExecutor(1, "soonest-forecast") if predictor is not None else None

    async def forecast(self, prompt: Prompt) -> Forecast | None:
        """What the predictor says, in time; else nothing."""
        if self.predictor is None or self._thread is None:
            return None
        asked = asyncio.get_running_loop().run_in_executor(self._thread, self.predictor.predict, [prompt])
        try:
            return (await asyncio.wait_for(asked, self.budget))[0]
        except Exception as error:  # noqa: BLE001 - anybody's predictor; an answer matters more than its forecast
            self._failed(error)
            return None

    def learn(self, prompt: Prompt, tokens: int, *, censored: bool) -> None:
        """An answer ended after so many tokens, or was cut there."""
        if self.predictor is not None and self._thread is not None:
            self._thread.submit(self._quietly, self.predictor.update, prompt, tokens, censored)

    def close(self) -> None:
        """Let go of the thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _quietly(self, update: Callable[[Prompt, int, bool], None], prompt: Prompt, tokens: int, cut: bool) -> None:  # noqa: FBT001 - as `update`
        try:
            update(prompt, tokens, cut)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:  # the first, second, fourth, ...: a broken one fails every time
            log.warning("the predictor failed %d times, last with %s", self.failures, type(error).__name__)


def prompts(body: Mapping[str, object], counts: Sequence[int], name: str) -> list[Prompt]:
    """What a predictor may see of each prompt of a body."""
    asked = body.get("prompt")
    several = isinstance(asked, list) and len(asked) == len(counts) > 1
    bodies = [{**body, "prompt": one} for one in asked] if several and isinstance(asked, list) else [body] * len(counts)
    return [
        Prompt.from_body(one, id=f"{name}-{i}", prompt_tokens=count)
        for i, (one, count) in enumerate(zip(bodies, counts, strict=True))
    ]

"""A predictor in a simulation: asked on arrival, taught when answers end, scored when all have ended."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import Forecast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.core import Prompt
    from soonest.predict import Predictor

TIMED = 200
"""Prompts that a predictor's latency is measured on."""


class Live:
    """A predictor as a simulation's forecaster; `prompts[job]` is what the job asks.

    `forecasts` holds what was said of each job. `latency` is measured: the median time of one forecast; `None` charges
    nothing.
    """

    def __init__(self, predictor: Predictor, prompts: Sequence[Prompt], latency: float | None = None) -> None:
        self.predictor = predictor
        self.prompts = [replace(prompt, id=str(job)) for job, prompt in enumerate(prompts)]
        self.latency = measured_latency(predictor, prompts) if latency is None else latency
        self.forecasts = [Forecast.unknown(1)] * len(self.prompts)

    def asked(self, job: int) -> Forecast:
        """The predictor's forecast."""
        made = self.forecasts[job] = self.predictor.predict([self.prompts[job]])[0]
        return made

    def ended(self, job: int, tokens: int, censored: bool) -> None:  # noqa: FBT001 - the answer's kind
        """Teach the predictor."""
        self.predictor.update(self.prompts[job], tokens, censored)

    def running(self, generated: Mapping[int, int]) -> None:
        """Tell the predictor."""
        self.predictor.running({str(job): tokens for job, tokens in generated.items()})


def measured_latency(predictor: Predictor, prompts: Sequence[Prompt]) -> float:
    """Median seconds of one forecast, over some of the prompts, on this machine."""
    chosen = [replace(prompt, id="") for prompt in prompts[:: max(1, len(prompts) // TIMED)][:TIMED]]
    seconds = []
    for prompt in chosen:
        started = time.perf_counter()
        predictor.predict([prompt])
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) if seconds else 0.0

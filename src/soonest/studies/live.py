"""A predictor in a simulation: asked on arrival, taught when answers end, scored when all have ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import Forecast
from soonest.data import Trace
from soonest.predict import Online, Predictor
from soonest.report.forecasts import assess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.core import Prompt
    from soonest.data.examples import Examples

MEASURES = ("kendall_tau", "coverage", "coverage_promised", "unknown")
TIMED = 200
"""Prompts that a predictor's latency is measured on."""


@dataclass(frozen=True)
class Asked:
    """Prompts to serve, and predictors by the name that an arm calls its forecasts; each run gets a predictor anew."""

    examples: Examples
    predictors: Mapping[str, Callable[[], Predictor]]

    @cached_property
    def trace(self) -> Trace:
        """Their lengths, with no arrivals."""
        n = len(self.examples)
        return Trace(
            name="prompts",
            arrival=np.zeros(n),
            prompt_tokens=np.array([prompt.length for prompt in self.examples.prompts], dtype=np.int64),
            output_tokens=self.examples.tokens,
            has_arrivals=False,
        )

    @cached_property
    def latencies(self) -> Mapping[str, float]:
        """Seconds of one forecast by each predictor, as measured here."""
        return {name: measured_latency(make(), self.examples.prompts) for name, make in self.predictors.items()}

    def live(self, name: str, rows: NDArray[np.int64]) -> Live:
        """A predictor for one simulation of these rows."""
        served = self.examples.take(rows)
        return Live(self.predictors[name](), served.prompts, self.latencies[name], served.censored.tolist())


class Live:
    """A predictor as a simulation's forecaster; `prompts[job]` is what the job asks.

    `forecasts` holds what was said of each job, `cut` tells whose answer a limit ends. `latency`, in seconds, is
    charged for each forecast; unless given it is measured.
    """

    def __init__(
        self,
        predictor: Predictor,
        prompts: Sequence[Prompt],
        latency: float | None = None,
        cut: Sequence[bool] | None = None,
    ) -> None:
        self.predictor = predictor
        self.cut = [False] * len(prompts) if cut is None else cut
        self.prompts = [replace(prompt, id=str(job)) for job, prompt in enumerate(prompts)]
        self.latency = measured_latency(predictor, prompts) if latency is None else latency
        self.forecasts = [Forecast.unknown(1)] * len(self.prompts)

    def asked(self, job: int) -> Forecast:
        """The predictor's forecast."""
        made = self.forecasts[job] = self.predictor.predict([self.prompts[job]])[0]
        return made

    def ended(self, job: int, tokens: int, censored: bool) -> None:  # noqa: FBT001 - the answer's kind
        """Teach the predictor."""
        self.predictor.update(self.prompts[job], tokens, censored or self.cut[job])

    def measures(self, tokens: NDArray[np.int64]) -> dict[str, float]:
        """How good the forecasts were, over all arrivals, and microseconds of one."""
        found = assess(self.forecasts, tokens, self.cut, np.arange(len(tokens)), tokens).measures
        return {**{key: found[key] for key in MEASURES}, "us_a_forecast": 1e6 * self.latency}

    def running(self, generated: Mapping[int, int]) -> None:
        """Tell the predictor."""
        self.predictor.running({str(job): tokens for job, tokens in generated.items()})


def loaded(folder: str) -> Predictor:
    """A folder's predictor; what would refit in a thread refits inline, because simulated time waits for no thread."""
    made = Predictor.from_pretrained(folder)
    if isinstance(made, Online) and made.refit == "background":
        made.refit = "inline"
    return made


def measured_latency(predictor: Predictor, prompts: Sequence[Prompt]) -> float:
    """Median seconds of one forecast, over some of the prompts, on this machine."""
    chosen = [replace(prompt, id="") for prompt in prompts[:: max(1, len(prompts) // TIMED)][:TIMED]]
    seconds = []
    for prompt in chosen:
        started = time.perf_counter()
        predictor.predict([prompt])
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) if seconds else 0.0

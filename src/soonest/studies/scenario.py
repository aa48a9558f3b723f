"""Under which conditions policies are compared: whose requests, how fast, on what engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import SimulationError
from soonest.data import drawn, fixed, gamma, lengths_on, poisson, repeat
from soonest.sim import Workload, beliefs, saturation
from soonest.sim.fleet import ROUTERS, check_router
from soonest.sim.forecasts import Beliefs, real_classes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from soonest.data import Trace
    from soonest.sim import Options
    from soonest.sim.simulate import Backend
    from soonest.studies.live import Asked, Live

ARRIVALS = ("replay", "poisson", "gamma", "fixed", "burst")
STRIDE = 1_000_003
"""Between the seeds of repetitions: a prime, so that seeds near each other share none."""


@dataclass(frozen=True)
class Scenario:
    """Requests at a rate on an engine.

    `trace` gives lengths and, for `replay`, arrivals; `lengths` takes the lengths from another file. `arrivals` is one
    of `ARRIVALS`: `burst` lets all arrive at once. `requests` cuts the trace, or repeats it. Repetition r of a replay
    starts further into the trace, wrapping around, so repetitions of a whole trace share their requests and differ in
    how they begin; other arrivals and forecasts are drawn anew.
    `predictions` is a file of a classifier's predictions, from which `classes` takes its errors. `asked` are prompts
    whose lengths take the trace's place, and predictors that read them. `told` is what a gateway really forecast of the
    trace's calls: the forecasts `journal`.

    Raises:
        SimulationError: an arrival process is unknown, lacks its rate, or the trace has no arrival times to replay; or
            there is a prefix cache, and no block hashes, or a router that needs them or tenants.
    """

    trace: Trace
    options: Options
    arrivals: str = "replay"
    requests: int | None = None
    lengths: Trace | None = None
    burstiness: float = 1.0
    predictions: Trace | None = None
    repetitions: int = 1
    seed: int = 0
    backend: Backend = "auto"
    asked: Asked | None = None
    told: Beliefs | None = None

    def __post_init__(self) -> None:
        if self.arrivals not in ARRIVALS:
            raise SimulationError(f"no arrivals {self.arrivals!r}; known: {', '.join(ARRIVALS)}")
        if self.arrivals == "replay" and not self.trace.has_arrivals:
            raise SimulationError(
                f"trace {self.trace.name!r} has no arrival times to replay: "
                "choose --arrivals poisson with --load or --rate"
            )
        if self.backend == "kernel" and self.asked is not None and self.asked.predictors:
            raise SimulationError("the kernel cannot run this: a predictor's forecasts are made as it runs")
        if self.asked is not None and self.asked.predictors and self.size > len(self.asked.examples):
            raise SimulationError(
                f"{self.size} requests would ask some of the {len(self.asked.examples)} prompts again, and a predictor "
                "that learns would know their answers: give fewer --requests, or more prompts"
            )
        if self.repetitions < 1 or (self.requests is not None and self.requests < 1):
            raise SimulationError("a scenario needs at least one repetition and one request")
        if self.options.prefix_blocks and not self._part(0).blocks:
            raise SimulationError(
                f"trace {self.trace.name!r} says of no prompt which blocks it shares: leave out --prefix-blocks, "
                "or give a trace with block hashes, such as mooncake-conversation"
            )

        if self.options.router is not None:
            check_router(ROUTERS[self.options.router], Workload.of(self._part(0)))

    @property
    def size(self) -> int:
        """Requests in a repetition; no more than there are prompts, unless asked for."""
        most = len(self.trace) if self.asked is None else min(len(self.trace), len(self.asked.examples))
        return most if self.requests is None else self.requests

    @cached_property
    def saturation(self) -> float:
        """Requests a second that the engine sustains at most, with these lengths."""
        return saturation(Workload.of(self._part(0)), self.options, backend=self.backend)

    def workload(self, repetition: int, rate: float | None) -> Workload:
        """The requests of a repetition at `rate` a second; `None` keeps the trace's own times.

        Forecasts are the oracle's until `believing` gives others.
        """
        trace = self._part(repetition)
        return Workload.of(trace.at(self._arrivals(trace, repetition, rate)))

    def beliefs(self, spec: str, workload: Workload, repetition: int) -> Beliefs:
        """What is forecast of a workload, by the words of a forecast source."""
        seed = self._seed(repetition) + 1
        tokens = workload.output_tokens
        if spec.strip() == "journal":
            return self._told(repetition)
        if spec.strip() == "classes" and self.predictions is not None:
            file = self.predictions
            return real_classes(tokens, file.output_tokens, file.predicted, seed=seed)
        return beliefs(spec, tokens, self._predicted(repetition), seed)

    def check(self, specs: Iterable[str]) -> None:
        """Refuse, before long work, words of a forecast source from which no forecast can be made.

        Raises:
            ForecastError: as the source says.
        """
        workload = Workload.of(self._part(0))
        named = {} if self.asked is None else self.asked.predictors
        for spec in (spec for spec in dict.fromkeys(specs) if spec not in named):
            self.beliefs(spec, workload, 0)

    def live(self, spec: str, repetition: int) -> Live | None:
        """The predictor of that name, to be asked as a repetition runs; `None` for a forecast source."""
        if self.asked is None or spec not in self.asked.predictors:
            return None
        rows = drawn(self.size, len(self.asked.examples), self._seed(repetition))
        return self.asked.live(spec, rows)

    def _seed(self, repetition: int) -> int:
        return self.seed + repetition * STRIDE

    def _told(self, repetition: int) -> Beliefs:
        """What was forecast of a repetition's calls when they were real."""
        if self.told is None:
            raise SimulationError("the forecasts `journal` are those that a gateway made: add --journal FILE")
        rows = (len(self.trace) * repetition // self.repetitions + np.arange(self.size)) % len(self.trace)
        return Beliefs(self.told.table, self.told.index[rows])

    def _predicted(self, repetition: int) -> NDArray[np.int64] | None:
        """The trace's predicted classes, where its lengths are its own."""
        return self._part(repetition).predicted if self.lengths is None and self.asked is None else None

    def _part(self, repetition: int) -> Trace:
        start = len(self.trace) * repetition // self.repetitions
        trace = repeat(self.trace, start + self.size) if start + self.size > len(self.trace) else self.trace
        trace = trace.take(np.arange(start, start + self.size))
        trace = trace.at(trace.arrival - trace.arrival[0])
        lengths = self.lengths if self.asked is None else self.asked.trace
        return trace if lengths is None else lengths_on(trace, lengths, self._seed(repetition))

    def _arrivals(self, trace: Trace, repetition: int, rate: float | None) -> NDArray[np.float64]:
        n, seed = len(trace), self._seed(repetition)
        if self.arrivals == "burst":
            return np.zeros(n)
        if self.arrivals == "replay":
            own = trace.rate
            return trace.arrival if rate is None or not np.isfinite(own) else trace.arrival * (own / rate)
        if rate is None:
            raise SimulationError(f"arrivals {self.arrivals!r} need a rate: give --load or --rate")
        match self.arrivals:
            case "poisson":
                return poisson(n, rate, seed)
            case "gamma":
                return gamma(n, rate, self.burstiness, seed)
            case _:
                return fixed(n, rate)

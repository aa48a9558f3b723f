"""Policies on the same requests, side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from soonest.core import SimulationError
from soonest.policies import policy
from soonest.report import Gaps, Row, Summary, check_slos, interval, summarise
from soonest.report.measures import jct
from soonest.sim import service_times, simulate
from soonest.sim.simulate import kernel_obstacle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.cluster import Cluster
    from soonest.core import Records
    from soonest.report import Interval
    from soonest.sim import Workload
    from soonest.sim.simulate import Backend
    from soonest.studies.arm import Arm
    from soonest.studies.scenario import Scenario

WORTH_COMPILING_FOR = 500_000
"""Requests in all simulations together from which on loading the compiled kernel pays."""


@dataclass(frozen=True, slots=True)
class Run:
    """One simulation: an arm at a load (or rate) in a repetition, summed up."""

    arm: Arm
    load: float | None
    rate: float
    repetition: int
    summary: Summary
    forecasts: Mapping[str, float] = field(default_factory=dict)
    """How good a predictor's forecasts were, over all arrivals; nothing for a forecast source."""


class Part(NamedTuple):
    """What is simulated on the same requests at the same times: some arms, at a load or rate, in a repetition."""

    arms: tuple[Arm, ...]
    load: float | None
    rate: float | None
    repetition: int


def _unwatched(_run: Run, _records: Records) -> None:
    """Nobody looks on."""


@dataclass
class Comparison:
    """Arms under a scenario, at several loads (shares of saturation) or rates (requests a second).

    Every arm sees the same requests at the same times, so differences are paired. `watch` is called after each
    simulation, with its arm, load and records.

    Raises:
        SimulationError: a load or the rate is no positive number.
        PolicyError: a policy is unknown, or needs what the rules do not give.
        ForecastError: a forecast source is unknown, or cannot forecast these requests.
        SoonestError: an SLO is unknown or not positive.
    """

    scenario: Scenario
    arms: Sequence[Arm]
    loads: Sequence[float] = ()
    rate: float | None = None
    slos: Mapping[str, float] | None = None
    watch: Callable[[Run, Records], None] = _unwatched
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_slos(self.slos or {})
        for speed in (*self.loads, *(() if self.rate is None else (self.rate,))):
            if not (math.isfinite(speed) and speed > 0):
                raise SimulationError(f"a load or rate must be positive and finite, got {speed}")
        for arm in self.arms:
            self.scenario.options.check(policy(arm.policy))
        self.scenario.check(arm.forecast for arm in self.arms)

    @property
    def size(self) -> int:
        """How many simulations there are."""
        return len(self.arms) * max(1, len(self.loads)) * self.scenario.repetitions

    def run(self, cluster: Cluster | None = None) -> None:
        """Simulate all; on a cluster each simulation is a task of its own, and the runs are the same, in this order."""
        parts = [
            Part(tuple(self.arms), load, self.rate if load is None else load * self.scenario.saturation, repetition)
            for load in self.loads or (None,)
            for repetition in range(self.scenario.repetitions)
        ]
        for run, records in self._here(parts) if cluster is None else self._there(parts, cluster):
            self.runs.append(run)
            self.watch(run, records)

    def rows(self, load: float | None) -> list[Row]:
        """A table's rows at one load."""
        found = defaultdict(list)
        for run in self.runs:
            if run.load == load:
                found[self.label(run.arm)].append(run.summary)
        return [Row(label, summaries) for label, summaries in found.items()]

    def by_load(self) -> dict[str, list[tuple[float, Interval, Interval]]]:
        """Mean and p99 of the JCT in seconds at each load, for a plot."""
        points = defaultdict(list)
        for load in self.loads:
            for row in self.rows(load):
                mean, p99 = (np.array(row.values(key)) / 1e3 for key in ("mean_e2el_ms", "p99_e2el_ms"))
                points[row.policy].append((load, interval(mean.tolist()), interval(p99.tolist())))
        return points

    def label(self, arm: Arm) -> str:
        """The arm's name, without the forecast where it makes no difference."""
        alone = sum(a.policy == arm.policy for a in self.arms) == 1
        plain = len({a.forecast for a in self.arms}) == 1 or arm.policy == "fcfs"
        return arm.policy if alone and plain else arm.label

    def simulate(self, part: Part) -> Iterator[tuple[Run, Records]]:
        """Each arm's run of a part, and the records of its requests."""
        scenario = self.scenario
        workload = scenario.workload(part.repetition, part.rate)
        service = service_times(workload, scenario.options)
        for arm in part.arms:
            live = scenario.live(arm.forecast, part.repetition)
            if live is None:
                told = workload.believing(scenario.beliefs(arm.forecast, workload, part.repetition))
                result = simulate(told, arm.policy, scenario.options, backend=self._backend(told, arm))
            else:
                result = simulate(workload, arm.policy, scenario.options, forecaster=live)
            summary = summarise(
                result.records,
                gaps=Gaps(result.gap_edges, result.gap_counts),
                service=service,
                slos=self.slos,
                peak_memory=result.peak_memory,
            )
            heard = {} if live is None else live.measures(workload.output_tokens)
            yield Run(arm, part.load, workload.rate, part.repetition, summary, heard), result.records

    def _here(self, parts: Sequence[Part]) -> Iterator[tuple[Run, Records]]:
        for part in parts:
            yield from self.simulate(part)

    def _there(self, parts: Sequence[Part], cluster: Cluster) -> Iterator[tuple[Run, Records]]:
        alone = [part._replace(arms=(arm,)) for part in parts for arm in part.arms]
        for found in cluster.map(partial(_simulated, replace(self, watch=_unwatched, runs=[])), alone):
            yield from found

    def _backend(self, workload: Workload, arm: Arm) -> Backend:
        """Many small simulations are worth compiling for, as one large one is."""
        scenario = self.scenario
        if scenario.backend != "auto" or self.size * scenario.size < WORTH_COMPILING_FOR:
            return scenario.backend
        possible = kernel_obstacle(workload, policy(arm.policy), scenario.options) is None
        return "kernel" if possible else "python"


def _simulated(comparison: Comparison, part: Part) -> list[tuple[Run, Records]]:
    """A part, in a worker of a cluster."""
    return list(comparison.simulate(part))


def latencies(records: Mapping[str, Sequence[Records]]) -> dict[str, NDArray[np.float64]]:
    """JCTs in seconds by label, repetitions pooled."""
    return {label: np.concatenate([jct(r) for r in several]) for label, several in records.items()}

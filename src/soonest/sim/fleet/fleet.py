"""The event loop of a fleet: replicas side by side, and a router that sends each request to one as it arrives."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import SimulationError
from soonest.sim.draws import ROUTE, draw
from soonest.sim.fleet.replica import Left, Replica
from soonest.sim.fleet.routers import ROUTERS, Ask, Router, prefix_affinity
from soonest.sim.host.loop import LATEST, asked
from soonest.sim.host.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from soonest.core import Forecast, Policy
    from soonest.sim.live import Forecaster
    from soonest.sim.options import Options
    from soonest.sim.result import Result
    from soonest.sim.workload import Workload


def check_router(router: Router, workload: Workload) -> None:
    """Refuse a router that needs to know which prompts begin alike, where the workload does not say.

    Raises:
        SimulationError: what is missing.
    """
    if router is prefix_affinity and not workload.blocks and len(set(workload.tenant.tolist())) == 1:
        raise SimulationError(
            "prefix_affinity needs to know which prompts begin alike: give a trace with block hashes, such as "
            "mooncake-conversation, or with tenants"
        )


class Fleet:
    """Runs a workload on replicas that share nothing but the time.

    A request that arrives at a boundary is routed before anything else happens then, so a router sees what ended before
    that moment. Who was evicted stays where it is. Each replica has its own queue, memory and prefix cache.

    Raises:
        SimulationError: as `check_router` says.
    """

    def __init__(
        self, workload: Workload, policy: Policy, options: Options, forecaster: Forecaster | None = None
    ) -> None:
        self.workload, self.forecaster, self.seed = workload, forecaster, options.seed
        self.router = ROUTERS[options.router or ""]
        check_router(self.router, workload)
        self.tally = Tally(workload, options.rules, forecaster)
        known: dict[Forecast, Left] = {}
        self.replicas = [
            Replica(workload, policy, replace(options.pooled, engines=1, speeds=(speed,)), self.tally, known)
            for speed in options.each_speed
        ]
        self._arrivals = workload.arrival_ps.tolist()
        self._chosen: list[int] = []
        self._times = [LATEST] * len(self.replicas)

    def run(self) -> Result:
        """From the first arrival until every job ended."""
        times = self._times
        while self.tally.ended < len(self._arrivals):
            now = min(times)
            while len(self._chosen) < len(self._arrivals) and self._arrivals[len(self._chosen)] <= now:
                now = self._arrivals[len(self._chosen)]
                self._route(len(self._chosen), now)
            for place, replica in enumerate(self.replicas):
                if times[place] <= now:
                    replica.step(now)
                    times[place] = replica.next_time()
        return replace(self.tally.result(), engine=np.array(self._chosen, dtype=np.int64))

    def _route(self, job: int, now: int) -> None:
        engines = (engine for replica in self.replicas for engine in replica.engines)
        request = asked(self.workload, job, self.forecaster, engines)
        prefix = self._prefix(job)
        ask = Ask(job, now, prefix, partial(self._draw, job))
        place = self.router(self.replicas, ask)
        self._chosen.append(place)
        self.replicas[place].send(job, request, now, prefix)
        self._times[place] = self.replicas[place].next_time()

    def _draw(self, job: int, number: int) -> float:
        return draw(self.seed, job, number, ROUTE)

    def _prefix(self, job: int) -> Sequence[Hashable]:
        """The parts of a prompt: its blocks, or, where no hashes are known, its tenant's instructions as a whole."""
        return self.workload.blocks[job] if self.workload.blocks else (str(self.workload.tenant[job]),)

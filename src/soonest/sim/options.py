"""What a simulation needs besides a workload and a policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from soonest.core import PolicyError, Rules, SimulationError
from soonest.sim.fleet.routers import ROUTERS
from soonest.sim.steptime import StepTime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.core import Policy

MAX_ENGINES = 1024
LEAST_SPEED = 1e-3


@dataclass(frozen=True, slots=True)
class Options:
    """The conditions of a simulation.

    Attributes:
        rules: how the engine batches, allocates and evicts.
        step_time: how long an iteration takes.
        engines: engines behind the one queue, or each with a queue of its own behind a router.
        speeds: how fast each engine is, as a multiple of `step_time`; all 1 unless given.
        router: sends each request, when it arrives, to an engine with a queue of its own (see `ROUTERS`); `None`: all
            wait in one queue, and an engine takes the next when it has a place.
        gateways: so many queues instead of the one; requests are split between them at random, and they take turns at
            the places that become free.
        seed: of every random draw: quanta and clearing.
        overdue_after: seconds after which a waiting request enters the overdue lane; `None`: never.
        overdue_every: that lane gets at most one admission in so many.
        weights: tenants' weights, if they share admissions.
        prefix_blocks: blocks that the prefix cache stores, for workloads with block hashes; 0: no cache.

    Raises:
        SimulationError: a count or a speed is out of range, there are not as many speeds as engines, no router has that
            name, or there are gateways beside a router.
    """

    rules: Rules = field(default_factory=Rules.vllm)
    step_time: StepTime = field(default_factory=StepTime.unit)
    engines: int = 1
    speeds: tuple[float, ...] = ()
    router: str | None = None
    gateways: int = 1
    seed: int = 0
    overdue_after: float | None = None
    overdue_every: int = 8
    weights: Mapping[str, float] | None = None
    prefix_blocks: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.engines <= MAX_ENGINES:
            raise SimulationError(f"engines must lie in 1..{MAX_ENGINES}, got {self.engines}")
        self._check_fleet()
        if not 0 <= self.seed < 1 << 63:
            raise SimulationError(f"seed must lie in 0..2**63-1, got {self.seed}")
        if self.prefix_blocks < 0:
            raise SimulationError(f"prefix_blocks must be at least 0, got {self.prefix_blocks}")

    def _check_fleet(self) -> None:
        if len(self.speeds) not in {0, self.engines}:
            raise SimulationError(f"give one speed an engine: {self.engines}, got {len(self.speeds)}")
        if not all(LEAST_SPEED <= speed <= 1 / LEAST_SPEED for speed in self.speeds):
            raise SimulationError(f"speeds must lie in {LEAST_SPEED:g}..{1 / LEAST_SPEED:g}, got {self.speeds}")
        if self.router is not None and self.router not in ROUTERS:
            raise SimulationError(f"no router {self.router!r}; known: {', '.join(ROUTERS)}")
        if not 1 <= self.gateways <= MAX_ENGINES:
            raise SimulationError(f"gateways must lie in 1..{MAX_ENGINES}, got {self.gateways}")
        if self.router is not None and self.gateways > 1:
            raise SimulationError(
                "a router sends requests on as they arrive, gateways hold them back: give one of them"
            )

    @property
    def each_speed(self) -> tuple[float, ...]:
        """The speed of each engine."""
        return self.speeds or (1.0,) * self.engines

    @property
    def pooled(self) -> Options:
        """The same engines behind one queue: what they can do together at most."""
        return replace(self, router=None, gateways=1)

    def check(self, policy: Policy) -> None:
        """Refuse, by name, a policy that needs what these rules do not give."""
        missing = policy.needs - self.rules.gives
        if missing:
            words = ", ".join(sorted(missing))
            raise PolicyError(
                f"policy {policy.name!r} needs {words}, which these rules do not give; try the rules 'paper'"
            )

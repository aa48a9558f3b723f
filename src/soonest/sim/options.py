"""What a simulation needs besides a workload and a policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from soonest.core import PolicyError, Rules, SimulationError
from soonest.sim.steptime import StepTime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.core import Policy

MAX_ENGINES = 1024


@dataclass(frozen=True, slots=True)
class Options:
    """The conditions of a simulation.

    Attributes:
        rules: how the engine batches, allocates and evicts.
        step_time: how long an iteration takes.
        engines: identical engines behind the one queue.
        seed: of every random draw: quanta and clearing.
        overdue_after: seconds after which a waiting request enters the overdue lane; `None`: never.
        overdue_every: that lane gets at most one admission in so many.
        weights: tenants' weights, if they share admissions.
        prefix_blocks: blocks that the prefix cache stores, for workloads with block hashes; 0: no cache.

    Raises:
        SimulationError: a count is out of range.
    """

    rules: Rules = field(default_factory=Rules.vllm)
    step_time: StepTime = field(default_factory=StepTime.unit)
    engines: int = 1
    seed: int = 0
    overdue_after: float | None = None
    overdue_every: int = 8
    weights: Mapping[str, float] | None = None
    prefix_blocks: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.engines <= MAX_ENGINES:
            raise SimulationError(f"engines must lie in 1..{MAX_ENGINES}, got {self.engines}")
        if not 0 <= self.seed < 1 << 63:
            raise SimulationError(f"seed must lie in 0..2**63-1, got {self.seed}")
        if self.prefix_blocks < 0:
            raise SimulationError(f"prefix_blocks must be at least 0, got {self.prefix_blocks}")

    def check(self, policy: Policy) -> None:
        """Refuse, by name, a policy that needs what these rules do not give."""
        missing = policy.needs - self.rules.gives
        if missing:
            words = ", ".join(sorted(missing))
            raise PolicyError(
                f"policy {policy.name!r} needs {words}, which these rules do not give; try the rules 'paper'"
            )

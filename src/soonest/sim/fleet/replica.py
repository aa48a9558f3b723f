"""One engine with a queue of its own, which hears of its requests as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from soonest.sim.host import Host

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from soonest.core import Forecast, Policy, Queue, Request
    from soonest.sim.host.tally import Tally
    from soonest.sim.options import Options
    from soonest.sim.workload import Workload


class Left:
    """Expected tokens after so many: the mean of the forecast's law given those, less those; at least 1.

    An unknown forecast stands for an answer of `mean` tokens. What was computed is kept: forecasts are few, and asked
    often.
    """

    def __init__(self, forecast: Forecast, mean: float) -> None:
        self._forecast = forecast
        fixed = forecast.tokens[0] == forecast.tokens[-1]
        self._total = (forecast.expected if fixed else None) if forecast.known else mean
        self._after: list[float] = []

    def after(self, generated: int) -> float:
        """Tokens to come."""
        if self._total is not None:
            return max(1.0, self._total - generated)
        for tokens in range(len(self._after), generated + 1):
            self._after.append(max(1.0, self._forecast.after(tokens).expected - tokens))
        return self._after[generated]


class Replica(Host):
    """A host of one engine that is sent requests, and what a router may know of it (`Seen`).

    `known` is the fleet's: what is left by each forecast, for all requests of which the same is known.
    """

    def __init__(
        self, workload: Workload, policy: Policy, options: Options, tally: Tally, known: dict[Forecast, Left]
    ) -> None:
        super().__init__(workload, policy, options, tally=tally)
        self._known = known
        self._sent: list[int] = []
        self._jobs, self._arrivals = self._sent, []
        self._told: dict[int, Request] = {}
        self._left: dict[int, Left] = {}
        self._held: set[Hashable] = set()
        self._behind: float | None = None

    def send(self, job: int, request: Request, now: int, prefix: Sequence[Hashable]) -> None:
        """A request arrives, at `now` picoseconds."""
        self._sent.append(job)
        self._arrivals.append(now)
        self._told[job] = request
        self._left[job] = self._left_of(request.forecast)
        self._held.update(prefix)
        self._behind = None
        engine = self.engines[0]
        if engine.running:
            engine.hear(now)

    def _left_of(self, forecast: Forecast) -> Left:
        mean = self.tally.mean_tokens
        if not forecast.known:
            return Left(forecast, mean)
        if forecast not in self._known:
            self._known[forecast] = Left(forecast, mean)
        return self._known[forecast]

    def step(self, now: int) -> None:
        """All that happens at the next boundary."""
        self._behind = None
        super().step(now)

    @property
    def requests(self) -> int:
        """How many were sent here and have not ended."""
        return len(self._sent) - self._arrived + len(self.queue) + len(self.engines[0].running)

    def tokens(self, now: int) -> float:
        """Output tokens that those are expected to give from `now` (picoseconds) on; what ends just then counts."""
        if self._behind is None:
            coming = (self._left[job].after(0) for job in self._sent[self._arrived :])
            queue = cast("Queue", self.queue)  # a replica has no gateways
            waiting = (self._left[entry.sequence].after(entry.generated) for entry in queue)
            self._behind = sum(coming) + sum(waiting)
        engine = self.engines[0]
        if not engine.running:
            return self._behind
        running = engine.generated(engine.ended(now)).items()
        return self._behind + sum(self._left[job].after(generated) for job, generated in running)

    def shared(self, prefix: Sequence[Hashable]) -> int:
        """How many leading parts of a prompt have been sent here before."""
        return next((i for i, part in enumerate(prefix) if part not in self._held), len(prefix))

    def _request(self, job: int) -> Request:
        return self._told[job]

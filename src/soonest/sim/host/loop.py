"""The event loop: engines that draw from one queue, from event to event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from soonest.core import Batching, Entry, SimulationError
from soonest.sim.host.engine import Engine
from soonest.sim.host.gateways import Gateways, queue
from soonest.sim.host.prefix import PrefixCache
from soonest.sim.host.tally import Tally
from soonest.sim.result import NEVER
from soonest.sim.workload import PICOSECONDS, picoseconds_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from soonest.core import Policy, Request
    from soonest.sim.live import Forecaster
    from soonest.sim.options import Options
    from soonest.sim.result import Result
    from soonest.sim.workload import Workload

LATEST = 1 << 62
"""Picoseconds, about 53 days: beyond it 64-bit sums could overflow."""
TELL_EVERY = 64
"""Arrivals between two times that a forecaster hears how far the running are."""


def asked(workload: Workload, job: int, forecaster: Forecaster | None, engines: Iterable[Engine]) -> Request:
    """A job's request as hosts see it: with the workload's forecast, or one made now."""
    request = workload.job(job).request
    if forecaster is None:
        return request
    if job % TELL_EVERY == 0:
        forecaster.running({j: n for engine in engines for j, n in engine.generated().items()})
    return replace(request, forecast=forecaster.asked(job))


class Host:
    """Runs a workload under a policy, asking it through its methods; the compiled kernel does the same with numbers.

    Ranks are read, and the queue's order frozen, at events: an arrival, a completion, the end of a prefill chunk or a
    quantum, an eviction, a request falling due, the first moment at which the frozen head fits, and a change of the
    head by another engine. Between events engines leap.
    """

    def __init__(
        self,
        workload: Workload,
        policy: Policy,
        options: Options,
        forecaster: Forecaster | None = None,
        tally: Tally | None = None,
    ) -> None:
        rules = options.rules
        self.forecaster = forecaster
        self.workload, self.policy, self.rules = workload, policy, rules
        self.tally = Tally(workload, rules, forecaster) if tally is None else tally
        self.queue = Gateways(policy, options) if options.gateways > 1 else queue(policy, options)
        prefixes = PrefixCache(workload, options.prefix_blocks) if options.prefix_blocks and workload.blocks else None
        self.engines = [
            Engine(rules, options.step_time.at(speed), policy, self.queue, self.tally, options.seed, prefixes)
            for speed in options.each_speed
        ]
        self._jobs: Sequence[int] = range(len(workload))
        self._arrivals: list[int] = workload.arrival_ps.tolist()
        self._outputs = workload.output_tokens.tolist()
        self._arrived = 0
        self._oldest = 0
        self._admissions = 0
        self._now = 0

    def run(self) -> Result:
        """From the first arrival until every job ended."""
        while self.tally.ended < len(self.workload):
            self.step(self.next_time())
        return self.tally.result()

    def step(self, now: int) -> None:
        """All that happens at the next boundary."""
        if now >= LATEST:
            raise SimulationError(f"simulated time passed {LATEST / PICOSECONDS:.0f} s: shorten the trace or the steps")
        self._now = now
        self.tally.events += 1
        self._arrive(now)
        group = [e for e in self.engines if not e.running or e.meets(now)]
        for engine in group:
            if engine.running:
                engine.settle()
        for engine in group:
            engine.prepare(now)
        self._admit(group, now)
        for engine in group:
            if engine.running:
                engine.launch(now, self._next_arrival())

    def _next_arrival(self) -> int:
        return self._arrivals[self._arrived] if self._arrived < len(self._arrivals) else LATEST

    def next_time(self) -> int:
        """When the next boundary is, in picoseconds; `LATEST` if nothing comes that is known of."""
        times = [e.boundary for e in self.engines if e.running]
        if len(times) < len(self.engines):
            times.append(self._wake())
        return min(times)

    def _wake(self) -> int:
        """When an idle engine should look: at an arrival, or when a dynamic batch has waited long enough."""
        waiting, arrival = len(self.queue), self._next_arrival()
        if not waiting:
            return arrival
        if self.rules.batching is not Batching.DYNAMIC or waiting >= (self.rules.slots or 1):
            return self._now
        return max(self._now, min(arrival, picoseconds_at(self._batch_due())))

    def _batch_due(self) -> float:
        """When the oldest waiting request makes its batch go, in seconds."""
        while self.tally.admitted[self._jobs[self._oldest]] != NEVER:
            self._oldest += 1
        return float(self.workload.arrival[self._jobs[self._oldest]]) + self.rules.timeout

    def _batch_ready(self, now: int) -> bool:
        if self.rules.batching is not Batching.DYNAMIC:
            return True
        return len(self.queue) >= (self.rules.slots or 1) or now / PICOSECONDS >= self._batch_due()

    def _arrive(self, now: int) -> None:
        first = self._arrived
        while self._next_arrival() <= now:
            job = self._jobs[self._arrived]
            entry = Entry(self._request(job), sequence=job)
            entry.clamp(self.policy.first(entry.request), self.rules.estimate_room(entry.request.prompt_tokens))
            self.queue.push(entry)
            self._arrived += 1
        if self._arrived > first:
            self._mark(self.engines)
            self.tally.most_waiting = max(self.tally.most_waiting, len(self.queue))

    def _request(self, job: int) -> Request:
        return asked(self.workload, job, self.forecaster, self.engines)

    @staticmethod
    def _mark(engines: Iterable[Engine]) -> None:
        for engine in engines:
            engine.dirty = True

    def _admit(self, group: list[Engine], now: int) -> None:
        """Let the waiting join the engines at this boundary, the least loaded first, until the head must wait."""
        others = [e for e in self.engines if e not in group]
        self._requeued(group, others, now)
        if not len(self.queue):
            return
        head, due = self.queue.peek(), self.queue.due <= now / PICOSECONDS
        takers = [e for e in group if e.has_place() or (e.dirty and e.may_displace())]
        if not any(e.dirty or due or (head is not None and e.fits(head)) for e in takers):
            return
        self.queue.reorder(now / PICOSECONDS)
        while (entry := self.queue.peek()) is not None:
            taker = self._taker(takers, entry, now) or self._displaced(takers, entry, now)
            if taker is None:
                break
            self.queue.pop()
            self._admissions += 1
            taker.admit(entry, self._outputs[entry.sequence], now, self._admissions)
        for engine in takers:
            engine.dirty = False
        if self.queue.peek() is not head:
            self._mark(others)
            self._cut(others, now)
        self._requeued(takers, others, now)

    def _requeued(self, group: list[Engine], others: list[Engine], now: int) -> None:
        """Where an engine of the group sent somebody back, every engine looks at the queue again."""
        if any(e.requeued for e in group):
            self._mark(self.engines)
            for engine in group:
                engine.requeued = False
            self._cut(others, now)

    @staticmethod
    def _displaced(takers: list[Engine], entry: Entry, now: int) -> Engine | None:
        """The engine on which others make room for this entry."""
        return next((e for e in sorted(takers, key=lambda e: len(e.running)) if e.displace(entry, now)), None)

    def _taker(self, takers: list[Engine], entry: Entry, now: int) -> Engine | None:
        """The engine that takes this entry: the one that runs least; a dynamic batch is filled before the next."""
        sign = -1 if self.rules.batching is Batching.DYNAMIC else 1
        for engine in sorted(takers, key=lambda e: sign * len(e.running)):
            if engine.has_place() and engine.fits(entry) and (engine.running or self._batch_ready(now)):
                return engine
        return None

    @staticmethod
    def _cut(engines: Iterable[Engine], now: int) -> None:
        for engine in engines:
            if engine.running:
                engine.cut(now)

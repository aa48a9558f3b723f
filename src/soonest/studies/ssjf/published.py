"""The simulator of SSJF's authors as a small loop, with each of its faults a switch."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    Time = float
    """Whole picoseconds (`int`), or seconds."""

SECOND = 10**12
"""Picoseconds, in which `soonest.sim` counts time."""
PATIENCE = 10
"""Seconds."""
STARVED, STARVED_TIMES = 100, 10
"""Seconds, and a multiple of the service."""


class Batching(StrEnum):
    """How many run at once, and when others may join."""

    NONE = "none"
    DYNAMIC = "dynamic"
    """A batch runs for its longest member."""
    CONTINUOUS = "continuous"
    """The batch forms anew whenever a member ends, and only then."""


class Order(StrEnum):
    """Who goes first."""

    ARRIVAL = "fcfs"
    TRUTH = "sjf"
    """The shortest service, in truth; with continuous batching, what is left of it."""
    FORECAST = "ssjf"


@dataclass(frozen=True, slots=True)
class Mode:
    """A way of batching and the size of a batch."""

    batching: Batching
    slots: int = 1

    @property
    def label(self) -> str:
        """How tables name it."""
        return "no batching" if self.slots == 1 else f"{self.batching} B={self.slots}"


@dataclass(frozen=True, slots=True)
class Faults:
    """What the authors' code does beside the model that the paper describes; nothing of it unless switched on.

    Attributes:
        fcfs_waits: under `fcfs`, and never under the other orders, a batch that is not full waits out 10 s, also when
            it forms anew in the midst of its members' service.
        drops_last: the last job is forgotten if everything before it has ended when it comes, except under `fcfs`.
        starvation: whoever waited over 100 s, or over ten times its service, sets the order: the longest wait first.
        starvation_reads_truth: that rule compares with the true service, not with the forecast's.
        waits_miscounted: for that rule, who is in the queue when a batch ends has waited since the end of the one
            before, even if it came later, or ran all the time.
        preempts: when a continuous batch forms anew, those who were running compete for their places again.
        sorted_gaps: gaps of uniform and gamma arrivals are sorted, so the whole burst comes first.
        whole_seconds: Poisson arrivals come at whole seconds.
        milliseconds_as_seconds: times of the Azure trace are a thousand times longer than they were.
        floating_seconds: times are seconds in floating point, not whole picoseconds. The first of a burst comes some
            10^-20 s before the rest and runs alone, and a remainder of 10^-16 s costs a batch another round.
    """

    fcfs_waits: bool = False
    drops_last: bool = False
    starvation: bool = False
    starvation_reads_truth: bool = False
    waits_miscounted: bool = False
    preempts: bool = False
    sorted_gaps: bool = False
    whole_seconds: bool = False
    milliseconds_as_seconds: bool = False
    floating_seconds: bool = False

    @classmethod
    def published(cls) -> Self:
        """All of them, as in the authors' repository."""
        return cls(**dict.fromkeys(cls.names(), True))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The switches."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True, slots=True, eq=False)
class Jobs:
    """Columns of equal length, by arrival; `second` is a second in their unit of time.

    `forecast` is what `ssjf` orders by, lowest first, and `believed` the service that the forecast expects.
    """

    arrival: Sequence[Time]
    service: Sequence[Time]
    forecast: Sequence[int]
    believed: Sequence[Time]
    second: Time = SECOND


def serve(jobs: Jobs, order: Order, mode: Mode, faults: Faults) -> list[Time | None]:
    """When each job ends; `None` for one that was dropped."""
    if order is Order.ARRIVAL and faults.fcfs_waits:
        return _wait_for_batches(jobs, mode)
    return _Loop(jobs, order, mode, faults).run()


class _Loop:
    """Serves from one queue, one batch after another."""

    def __init__(self, jobs: Jobs, order: Order, mode: Mode, faults: Faults) -> None:
        self.jobs, self.mode = jobs, mode
        self.left = list(jobs.service)
        ranks: dict[Order, Sequence[Time]] = {
            Order.ARRIVAL: range(len(self.left)),
            Order.TRUTH: self.left,
            Order.FORECAST: jobs.forecast,
        }
        self.rank = ranks[order].__getitem__
        by_arrival = order is Order.ARRIVAL
        self.starvation = faults.starvation and not by_arrival
        self.miscounted = faults.waits_miscounted
        truth = faults.starvation_reads_truth or order is Order.TRUTH
        self.compared = self.left if truth else jobs.believed
        self.preempts = faults.preempts
        self.awaited = len(self.left) - (faults.drops_last and not by_arrival)
        self.waiting: list[int] = []
        self.running: list[int] = []
        self.waited: list[Time] = [0] * len(self.left)
        self.now: Time = 0
        self.arrived = 0

    def run(self) -> list[Time | None]:
        ended: list[Time | None] = [None] * len(self.left)
        continuous = self.mode.batching is Batching.CONTINUOUS
        before: Time = 0
        while self.arrived < self.awaited or self.waiting or self.running:
            if not self.waiting and not self.running:
                self.now = max(self.now, self.jobs.arrival[self.arrived])
                self._arrive()
            self._sort()
            free = self.mode.slots - len(self.running)
            batch = self.running + self.waiting[:free]
            del self.waiting[:free]
            lefts = [self.left[job] for job in batch]
            ran = min(lefts) if continuous else max(lefts)
            self.now += ran
            self._arrive()
            stays = []
            for job, left in zip(batch, lefts, strict=True):
                if continuous and left > ran:
                    self.left[job] -= ran
                    stays.append(job)
                else:
                    ended[job] = self.now
            if self.preempts:
                self.waiting += stays
            else:
                self.running = stays
            if self.starvation and self.miscounted:
                for job in self.waiting:
                    self.waited[job] += self.now - before
            before = self.now
        return ended

    def _arrive(self) -> None:
        arrival = self.jobs.arrival
        while self.arrived < len(arrival) and arrival[self.arrived] <= self.now:
            self.waiting.append(self.arrived)
            self.arrived += 1

    def _sort(self) -> None:
        """By rank; by waiting instead if the one who waited longest has waited too long. Ties stay as they are."""
        if self.starvation and self.waiting:
            waited = self.waited.__getitem__ if self.miscounted else lambda job: self.now - self.jobs.arrival[job]
            longest = max(self.waiting, key=waited)
            if waited(longest) > min(STARVED * self.jobs.second, STARVED_TIMES * self.compared[longest]):
                self.waiting.sort(key=waited, reverse=True)
                return
        self.waiting.sort(key=self.rank)


def _wait_for_batches(jobs: Jobs, mode: Mode) -> list[Time | None]:
    """In order of arrival; each batch waits until it is full, or for 10 s."""
    continuous, patience = mode.batching is Batching.CONTINUOUS, PATIENCE * jobs.second
    arrival, left = jobs.arrival, list(jobs.service)
    ended: list[Time | None] = [None] * len(left)
    queue = deque(range(len(left)))
    now: Time = 0
    while queue:
        now = max(now, arrival[queue[0]])
        batch: list[int] = []
        while queue and len(batch) < mode.slots and arrival[queue[0]] <= now + patience:
            batch.append(queue.popleft())
        now = max(now, arrival[batch[-1]] if len(batch) == mode.slots else now + patience)
        lefts = [left[job] for job in batch]
        ran = min(lefts) if continuous else max(lefts)
        now += ran
        for job in batch:
            if continuous and left[job] > ran:
                left[job] -= ran
                queue.appendleft(job)  # so those who stay are in reverse order
            else:
                ended[job] = now
    return ended

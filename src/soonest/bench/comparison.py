"""Policies on the same calls at the same times, one after another on one engine."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from soonest.bench.load import Load, interrupted
from soonest.bench.probe import idle
from soonest.bench.ran import LATE_SHARE, Alone, Ran, sustained
from soonest.core import SoonestError
from soonest.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from soonest.bench.answer import Answer
    from soonest.bench.call import Endpoint
    from soonest.bench.plan import Plan
    from soonest.report import Summary

WARM_UP = 8
"""Calls that every contender answers before anything is measured."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One side of a comparison: its name, where it listens, and whether it is told the true lengths."""

    label: str
    endpoint: Endpoint
    oracle: bool = False


class Watch(Protocol):
    """Who is told how far a comparison is."""

    def begin(self, what: str, calls: int) -> None:
        """So many calls follow."""

    def heard(self, answer: Answer | None) -> None:
        """One left (`None`), or ended."""

    def say(self, line: str) -> None:
        """Something worth a line."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contender in one repetition at one load."""

    label: str
    load: float | None
    rate: float
    repetition: int
    ran: Ran
    summary: Summary
    idle: bool = True
    """Whether the engine ran nothing when it began."""


@dataclass
class Comparison:
    """Contenders in front of one engine, each repetition in another order; between runs the engine runs empty.

    First comes a warm-up: one call at a time to the first contender, a few at once to the others, and to each a closed
    loop of `ramp_seconds`, for gateways that first have to learn how much the engine takes. Then, where a load or an
    oracle needs it, a closed loop through the first contender, which measures what it sustains and how long every
    answer is. All are greedy, so the lengths hold later. `requests` in each run; without it as many as arrive in
    `seconds`. `ended` is called after each run.
    """

    contenders: Sequence[Contender]
    plan: Plan
    engine: str | None = None
    loads: Sequence[float] = ()
    rate: float | None = None
    requests: int | None = None
    seconds: float = 4.0
    concurrency: int = 64
    ramp_seconds: float = 0.0
    pass_seconds: float = math.inf
    most: int | None = None
    slos: Mapping[str, float] = field(default_factory=dict)
    percentiles: Sequence[float] = (90, 99)
    late_share: float = LATE_SHARE
    quiet_seconds: float = 30.0
    ended: Callable[[Run], None] = lambda _: None
    runs: list[Run] = field(default_factory=list)
    capacity: float | None = None
    full: Ran | None = None
    alone: Alone | None = None
    interrupted: bool = False

    async def run(self, watch: Watch) -> None:
        """Measure all; interrupted, keep what there is."""

        async def all_of_it() -> None:
            await self.prepare(watch)
            await self.repeat(watch)

        between_loads = await interrupted(all_of_it())
        self.interrupted |= between_loads

    async def prepare(self, watch: Watch) -> None:
        """Warm up; measure, where it is needed, what is sustained and how long answers are."""
        async with Load(self.contenders[0].endpoint, watch.heard) as first:
            await self._warm_up(first, watch)
            for contender in self.contenders if self.ramp_seconds else self.contenders[1:]:
                await self._ramp_up(contender, watch)
            if self.loads or any(contender.oracle for contender in self.contenders):
                await self._measure(first, watch)

    async def repeat(self, watch: Watch, repetitions: Iterable[int] | None = None, loads: Sequence[float] = ()) -> None:
        """The repetitions, one by one, so that what there is is always paired; all at all loads unless told."""
        for repetition in range(self.plan.repetitions) if repetitions is None else repetitions:
            for load in loads or self.loads or (None,):
                await self._repeat(load, repetition, watch)

    def rows(self, load: float | None) -> list[Row]:
        """A table's rows at one load, of what is `paired`."""
        return [Row(label, [self._summary(ran) for ran in several]) for label, several in self.paired(load).items()]

    def paired(self, load: float | None) -> dict[str, list[Ran]]:
        """What stands in a table at one load: whole repetitions only, of each the calls that all contenders answered.

        So all are paired: one that fails the long calls would else look fast.
        """
        found: dict[str, list[Ran]] = {contender.label: [] for contender in self.contenders}
        for runs in self._whole(load):
            answered = set[int].intersection(*(run.ran.finished() for run in runs.values()))
            if not answered:
                continue
            for label, run in runs.items():
                found[label].append(run.ran if len(answered) == len(run.ran.answers) else run.ran.only(answered))
        return {label: several for label, several in found.items() if several}

    def unpaired(self, load: float | None) -> int:
        """Calls that are in no row, because a contender failed them."""
        return sum(
            max(len(run.ran.answers) for run in runs.values())
            - len(set[int].intersection(*(run.ran.finished() for run in runs.values())))
            for runs in self._whole(load)
        )

    def _whole(self, load: float | None) -> list[dict[str, Run]]:
        """The repetitions at one load that every contender ended."""
        found: dict[int, dict[str, Run]] = {}
        for run in self.runs:
            if run.load == load and not run.ran.interrupted:
                found.setdefault(run.repetition, {})[run.label] = run
        return [runs for _, runs in sorted(found.items()) if len(runs) == len(self.contenders)]

    def _summary(self, ran: Ran) -> Summary:
        return ran.summary(alone=self.alone, slos=self.slos, percentiles=self.percentiles, late_share=self.late_share)

    async def _warm_up(self, load: Load, watch: Watch) -> None:
        if self.interrupted:
            return
        few = self.plan.calls[:WARM_UP]
        watch.begin("warm-up, one call at a time", len(few))
        ran = await load.closed_loop(few, 1, name="warm")
        self._check(ran, watch)
        self.alone = Alone.of(ran)

    async def _ramp_up(self, contender: Contender, watch: Watch) -> None:
        if self.interrupted:
            return
        few = self.plan.calls if self.ramp_seconds else self.plan.calls[:WARM_UP]
        until = time.perf_counter() + self.ramp_seconds
        async with Load(contender.endpoint, watch.heard) as load:
            while not self.interrupted:
                watch.begin(f"{contender.label}: warm-up, {self.concurrency} under way", len(few))
                left = max(0.0, until - time.perf_counter()) if self.ramp_seconds else math.inf
                self._check(await load.closed_loop(few, self.concurrency, seconds=left, name="ramp"), watch)
                if time.perf_counter() >= until:
                    return

    async def _measure(self, load: Load, watch: Watch) -> None:
        if self.interrupted:
            return
        calls = self.plan.calls
        watch.begin(f"closed loop, {self.concurrency} under way", len(calls))
        ran = await load.closed_loop(calls, self.concurrency, seconds=self.pass_seconds, name="pass")
        self._check(ran, watch)
        self.capacity, self.full = sustained(ran), ran
        lengths = {call: tokens for call, tokens in ran.lengths().items() if tokens}
        self.plan = self.plan.counted(lengths)
        watch.say(f"sustained in a closed loop: {self.capacity:.3g} requests/s, over {len(lengths)} requests")

    def _check(self, ran: Ran, watch: Watch) -> None:
        self.interrupted |= ran.interrupted
        if not any(answer.done for answer in ran.answers) and not self.interrupted:
            raise SoonestError(f"no request was answered: {ran.told()}")
        if ran.reasons:
            watch.say(f"failed: {ran.told()}")

    async def _repeat(self, load: float | None, repetition: int, watch: Watch) -> None:
        rate = self.rate if load is None else load * (self.capacity or math.nan)
        for number in self.plan.order(repetition, len(self.contenders)):
            if self.interrupted:
                return
            contender = self.contenders[number]
            requests = self.size(rate)
            calls, at = self.plan.wave(repetition, rate, requests)
            at_load = "" if load is None else f" at load {load:g}"
            watch.begin(
                f"{contender.label}{at_load}, repetition {repetition + 1} of {self.plan.repetitions}", len(calls)
            )
            empty = self.engine is None or await idle(self.engine, self.quiet_seconds)
            if not empty:
                watch.say(f"the engine still runs something after {self.quiet_seconds:g} s; the run is marked")
            async with Load(contender.endpoint, watch.heard) as client:
                name = f"{number}-{repetition}"
                ran = await client.open_loop(calls, at, oracle=contender.oracle, most=self.most, name=name)
            self.interrupted |= ran.interrupted
            speed = requests / float(at[-1]) if at[-1] > 0 else math.inf
            self.runs.append(Run(contender.label, load, speed, repetition, ran, self._summary(ran), empty))
            self.ended(self.runs[-1])

    def size(self, rate: float | None) -> int:
        """How many calls a run has: those asked for, or that arrive in `seconds`, or all where nobody says how fast."""
        if self.requests:
            return self.requests
        if rate is None or not math.isfinite(rate):
            return len(self.plan.calls)
        return max(20, min(len(self.plan.calls), round(rate * self.seconds)))

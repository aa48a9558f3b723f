"""Random workloads, and what the simulator does with them, iteration by iteration."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from tests.vllm.alone import Drive, Step, request

from soonest.core import Forecast, Rules
from soonest.policies import policy as named
from soonest.sim import Options, Workload
from soonest.sim.forecasts import Beliefs
from soonest.sim.host import loop
from soonest.sim.host.engine import Engine

POLICIES = (
    "fcfs",
    "fcfs_reserve",
    "shortest",
    "longest",
    "a_max",
    "a_min",
    "a_min(live)",
    "a_min(stored, smallest)",
    "a_min(live, smallest)",
    "response_ratio(shortest)",
    "response_ratio(a_max)",
    "aging(shortest, rate=3)",
    "aging(a_min, rate=0.5)",
)
"""Every policy that vLLM can host, and wrappers around some."""


@dataclass(frozen=True)
class Case:
    """One random workload on one engine."""

    seed: int
    block_size: int
    budget: int
    slots: int
    blocks: int
    jobs: Workload

    @property
    def rules(self):
        return Rules.vllm(slots=self.slots, token_budget=self.budget, blocks=self.blocks, block_size=self.block_size)


def case(seed, block_size, budget, longest=200):
    """Bursts of requests, some without a forecast, some with a wrong one; slots or memory bind, or both."""
    draw = np.random.default_rng((seed, block_size, budget))
    n = int(draw.integers(8, 24))
    arrival = np.sort(draw.choice(np.arange(0, 40) * 0.75, n)) if seed % 3 else np.zeros(n)
    prompt = draw.integers(1, 160, n)
    output = np.maximum(1, draw.lognormal(3, 1, n).astype(int)).clip(1, longest)
    table = []
    for tokens in output.tolist():
        low = max(1, int(tokens * draw.uniform(0.3, 1.1)))
        high = max(low, int(tokens * draw.uniform(0.9, 2)))
        known = draw.uniform() < 0.85
        table.append(Forecast.interval(low, high) if known else Forecast.unknown(2048))
    need = int((-(-(prompt + output) // block_size)).max())
    return Case(
        seed,
        block_size,
        budget,
        slots=int(draw.integers(2, 9)),
        blocks=need + int(draw.integers(0, 1 + 2 * need)),
        jobs=Workload(
            arrival.astype(float),
            prompt,
            output,
            Beliefs(tuple(table), np.arange(n, dtype=np.int32)),
            priority=draw.integers(0, 2, n) if seed % 4 == 0 else np.zeros(n, dtype=np.int64),
            max_tokens=np.full(n, 2048),
        ),
    )


class Watched(Engine):
    """A simulated engine that writes down what each iteration does."""

    log = None

    def prepare(self, now):
        self.joined, self.preempted = set(), set()
        super().prepare(now)

    def evict(self, member, now):
        self.preempted.add(str(member.job))
        super().evict(member, now)

    def admit(self, entry, output, now, count):
        self.joined.add(str(entry.sequence))
        super().admit(entry, output, now, count)

    def launch(self, now, next_arrival):
        starved = {m.job for m in self._starved}
        decoding = {str(j): 1 for j, m in self.running.items() if m.decoding and j not in starved}
        starting = {str(j): m.grant for j, m in self.running.items() if not m.decoding and m.grant}
        self.step = Step(decoding | starting, self.joined, self.preempted)
        super().launch(now, next_arrival)

    def settle(self):
        self.log.append(self.step)
        self.log += [Step(self.step.tokens, set(), set())] * (self._steps - 1)
        super().settle()


@contextmanager
def watching():
    """The simulator's iterations, as they end."""
    Watched.log, ordinary = [], loop.Engine
    loop.Engine = Watched
    try:
        yield Watched.log
    finally:
        loop.Engine = ordinary


def simulated(case, policy):
    """The simulator's iterations."""
    with watching() as log:
        loop.Host(case.jobs, named(policy), Options(rules=case.rules)).run()
    return log


def driven(case, scheduler, late=0):
    """vLLM's iterations: one a second, from the first arrival on; nobody to run means the next arrival."""
    drive = Drive(scheduler, {str(i): int(n) for i, n in enumerate(case.jobs.output_tokens)}, late)
    arrivals = case.jobs.arrival.tolist()
    now = came = 0
    while came < len(arrivals) or scheduler.has_unfinished_requests() or drive.in_flight:
        if not scheduler.has_unfinished_requests() and not drive.in_flight:
            now = max(now, arrivals[came])
        while came < len(arrivals) and arrivals[came] <= now:
            scheduler.clock = lambda: arrivals[came]  # noqa: B023 - asked at once
            scheduler.add_request(asked(case, came))
            came += 1
        scheduler.clock = lambda: now  # noqa: B023 - asked at once
        drive.step()
        now += 1
    return drive.steps


def asked(case, job):
    """A job as a request to vLLM."""
    seen = case.jobs.job(job).request
    told = seen.forecast
    hint = (told.low, told.expected, told.high) if told.known else None
    return request(
        job,
        seen.prompt_tokens,
        seen.max_tokens,
        forecast=hint,
        priority=seen.priority,
        block_size=case.block_size,
    )


def difference(ours, theirs):
    """The first iteration in which they differ, or `None`."""
    for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if (a.tokens, a.joined, a.preempted) != (b.tokens, b.joined, b.preempted):
            return f"iteration {i}: {a} != {b}"
    return None if len(ours) == len(theirs) else f"{len(ours)} iterations, not {len(theirs)}"

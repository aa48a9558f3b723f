"""The simulator of `docs/simulator.md` again, slow and obvious: one iteration at a time, everything sorted anew.

Tenant shares and the prefix cache are left out.
"""

import math
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
from tests.reference_displacement import displace, may_displace
from tests.reference_line import Line, Lines
from tests.reference_memory import Memory, Run

from soonest.core import Batching, Entry, Need
from soonest.core.policy import area_left
from soonest.sim import NEVER, Result
from soonest.sim.draws import CLEAR, QUANTUM, draw
from soonest.sim.result import GAP_EDGES
from soonest.sim.workload import PICOSECONDS


@dataclass(eq=False)
class Engine:
    speed: float
    ends: int | None = None  # when the present iteration ends
    running: list = field(default_factory=list)
    dirty: bool = False
    left: float = math.inf  # of the token budget, for those who join
    evicted: bool = False  # somebody, by overflow, at this boundary
    credit: int = 0  # token-iterations that pacing lets start
    forming: bool = False  # dynamic batching: a batch may start


class Reference:
    def __init__(self, workload, policy, options, *, reread):
        self.workload, self.policy, self.options, self.rules = workload, policy, options, options.rules
        self.reread = reread  # read ranks at every boundary, not only at events
        self.dynamic = self.rules.batching is Batching.DYNAMIC
        self.displaces = Need.DISPLACE in policy.needs
        self.memory = Memory(options.rules, policy)
        self.line = Line(policy, options.overdue_after, options.overdue_every)
        if options.gateways > 1:
            self.line = Lines([deepcopy(self.line) for _ in range(options.gateways)], options.seed)
        self.engines = [Engine(speed) for speed in options.speeds or [1] * options.engines]
        self.runs = []
        self.arrival = workload.arrival_ps.tolist()
        self.now = 0
        self.requeued = False
        self.admissions = 1
        self.peak = self.iterations = 0
        n = len(workload)
        self.admitted, self.first_token, self.finished = ([NEVER] * n for _ in range(3))
        self.evictions, self.lost, self.recomputed = ([0] * n for _ in range(3))
        self.gaps = np.zeros(len(GAP_EDGES) - 1, dtype=np.int64)

    # --- the boundaries

    def run(self):
        while (times := [self.boundary(e) for e in self.engines]) and min(times) < math.inf:
            self.now = min(times)
            here = [e for e, t in zip(self.engines, times, strict=True) if t == self.now or not e.running]
            self.arrive()
            self.requeued = False
            for step in (self.settle, self.prepare):
                for engine in here:
                    step(engine)
            if self.requeued:
                self.all_dirty()
            self.admit(here)
            for engine in here:
                self.begin(engine)
        columns = (self.admitted, self.first_token, self.finished, self.evictions, self.lost, self.recomputed)
        return Result(
            self.workload,
            *(np.array(c, dtype=np.int64) for c in columns),
            gap_counts=self.gaps,
            peak_blocks=self.peak,
            block_size=self.rules.block_size,
            most_waiting=0,
            iterations=self.iterations,
            events=0,
        )

    def boundary(self, engine):
        if engine.running:
            return engine.ends
        coming = self.arrival[len(self.runs)] if len(self.runs) < len(self.arrival) else math.inf
        if not self.line.waiting:
            return coming
        if not self.dynamic or self.batch_is_due():
            return self.now
        return min(coming, self.timeout())

    def timeout(self):
        """When the oldest has waited long enough: the first picosecond that is not before it in seconds."""
        seconds = min(e.request.arrival for e in self.line.waiting) + self.rules.timeout
        time = round(seconds * PICOSECONDS)
        while time / PICOSECONDS < seconds:
            time += 1
        while (time - 1) / PICOSECONDS >= seconds:
            time -= 1
        return time

    def batch_is_due(self):
        return bool(self.line.waiting) and (len(self.line.waiting) >= self.rules.slots or self.now >= self.timeout())

    def all_dirty(self):
        for engine in self.engines:
            engine.dirty = True

    def run_of(self, entry):
        return self.runs[entry.sequence]

    def arrive(self):
        while len(self.runs) < len(self.arrival) and self.arrival[len(self.runs)] <= self.now:
            job = self.workload.job(len(self.runs))
            entry = Entry(job.request, sequence=len(self.runs))
            self.clamp(entry, self.policy.first(job.request))
            self.runs.append(Run(entry.sequence, entry, job.output_tokens))
            self.line.push(entry)
            self.all_dirty()

    def clamp(self, entry, estimate):
        entry.clamp(estimate, self.rules.estimate_room(entry.request.prompt_tokens))

    # --- the end of an iteration

    def settle(self, engine):
        before = list(engine.running)
        engine.credit = min(self.rules.capacity, engine.credit + self.rules.capacity)
        for run in before:
            if run.startup or run.prefilling or not (run.granted or run.ended):
                engine.dirty = True
            emits = run.emits
            if run.startup:
                run.startup -= 1
            elif run.prefilling:
                run.computed += run.granted
            if emits:
                self.emit(run)
        if not self.dynamic or all(run.ended for run in before):
            for run in [r for r in before if r.ended]:
                engine.running.remove(run)
                self.settle_up(engine, run)
                engine.dirty = True
                self.finished[run.job] = self.now
                self.line.answered(run.entry)
        over = [r for r in engine.running if r.quantum is not None and r.entry.generated - r.begun >= r.quantum]
        for run in sorted(over, key=lambda r: r.entry.sequence):
            if self.displaces and self.policy.yields(run.entry):
                engine.dirty = True
                self.ask_quantum(run)
            else:
                self.evict(engine, run)

    def emit(self, run):
        run.prefilling = False
        run.entry.generated += 1
        if run.last == NEVER:
            self.first_token[run.job] = self.now
        else:
            self.gaps[np.searchsorted(GAP_EDGES, self.now - run.last, side="right") - 1] += 1
        run.last = self.now

    def settle_up(self, engine, run):
        """Pacing gives back what was paid for and not held, and takes what was held and not paid for."""
        held = sum(run.entry.request.prompt_tokens + g for g in range(run.kept + 1, run.entry.generated + 1))
        engine.credit += run.paid - held

    def evict(self, engine, run):
        engine.running.remove(run)
        self.settle_up(engine, run)
        engine.dirty = True
        entry = run.entry
        self.clamp(entry, self.policy.evicted(entry))
        entry.attempts += 1
        self.evictions[run.job] += 1
        if self.rules.restart:
            self.lost[run.job] += entry.generated
            self.first_token[run.job] = run.last = NEVER
            entry.generated = 0
        else:
            computed = run.computed if run.prefilling else entry.request.prompt_tokens + entry.generated - 1
            self.recomputed[run.job] += computed
        if self.evictions[run.job] <= self.rules.max_evictions:
            self.line.push(entry)
            self.requeued = True

    # --- the next iteration

    def prepare(self, engine):
        if not engine.running:
            engine.credit = self.rules.capacity
        self.grant(engine)
        engine.evicted = False
        rounds = 0
        while self.rules.blocks is not None and sum(map(self.memory.held, engine.running)) > self.rules.blocks:
            if self.rules.clear:
                out = [r for r in engine.running if self.cleared(r, rounds)]
            else:
                out = [min(engine.running, key=lambda r: (self.policy.keep(r.entry), -r.entry.sequence))]
            for run in out:
                self.evict(engine, run)
                engine.left += run.granted
            engine.evicted = True
            rounds += 1

    def cleared(self, run, rounds):
        return draw(self.options.seed, run.job, run.entry.attempts, CLEAR + rounds) <= self.rules.clear

    def grant(self, engine):
        budget = self.rules.token_budget
        engine.left = math.inf if budget is None else budget
        scarce = sum(r.need for r in engine.running) > engine.left
        best_first = sorted(engine.running, key=lambda r: (-self.policy.keep(r.entry), r.entry.sequence))
        for run in best_first if scarce else engine.running:
            run.granted = min(run.need, engine.left)
            engine.left -= run.granted

    def begin(self, engine):
        if not engine.running:
            return
        step = self.options.step_time.at(engine.speed)
        sequences = prefill = context = 0
        for run in engine.running:
            if run.startup or run.ended or run.emits or run.granted:
                sequences += 1
                if run.prefilling and not run.startup:
                    prefill += run.granted
                    context += run.computed + run.granted
                elif not run.startup:
                    context += run.entry.request.prompt_tokens + run.entry.generated
        engine.ends = self.now + step.duration(prefill, sequences, context)
        self.peak = max(self.peak, sum(map(self.memory.held, engine.running)))
        self.iterations += 1

    # --- who joins

    def has_place(self, engine):
        if self.dynamic:
            filling = engine.running or self.batch_is_due()
            return engine.forming and filling and len(engine.running) < self.rules.slots
        slots = math.inf if self.rules.slots is None else self.rules.slots
        room = len(engine.running) < slots and engine.left > 0
        return room and (self.rules.admit_after_evict or not engine.evicted)

    def admit(self, here):
        if not self.line.waiting:
            return
        for engine in here:
            engine.forming = not engine.running
        before = self.line.head()
        part = [e for e in here if self.has_place(e) or (may_displace(self, e) and (e.dirty or self.reread))]
        if not any(self.calls(e, before) for e in part):
            return
        self.line.reorder(self.now / PICOSECONDS)
        self.requeued = False
        while (head := self.line.head()) is not None:
            able = [e for e in part if self.has_place(e) and self.fits(e, head)] or displace(self, part, head)
            if not able:
                break
            sign = -1 if self.dynamic else 1  # a dynamic batch is filled before the next is begun
            self.join(min(able, key=lambda e: sign * len(e.running)), self.line.pop())
        for engine in part:
            engine.dirty = False
        if self.line.head() is not before:
            for engine in self.engines:
                engine.dirty |= engine not in here
        if self.requeued:
            self.all_dirty()

    def calls(self, engine, head):
        due = self.now / PICOSECONDS >= self.line.due()
        return engine.dirty or due or self.reread or (head is not None and self.fits(engine, head))

    def fits(self, engine, entry):
        return self.may_start(engine, engine.running) and self.memory.fits(engine.running, entry, engine.left)

    def may_start(self, engine, stay):
        """Whether pacing lets anybody start."""
        return not self.rules.pace or not stay or engine.credit > 0

    def price(self, entry):
        if not self.rules.pace:
            return 0
        request = entry.request
        return int(area_left(entry.estimate, entry.generated, request.forecast.high, request.prompt_tokens))

    def join(self, engine, entry):
        run = self.run_of(entry)
        reserve = self.policy.reserve(entry)
        entry.admitted = self.admissions
        self.admissions += 1
        if self.admitted[run.job] == NEVER:
            self.admitted[run.job] = self.now
        run.quantum = None
        if not self.dynamic:
            self.ask_quantum(run)
        size = entry.request.prompt_tokens + entry.generated
        fresh = {"startup": self.options.step_time.startup, "prefill": size, "computed": 0, "prefilling": True}
        fresh |= {"reserve": reserve, "kept": entry.generated, "paid": self.price(entry)}
        for name, value in fresh.items():
            setattr(run, name, value)
        engine.credit -= run.paid
        run.granted = min(run.need, engine.left)
        engine.left -= run.granted
        engine.running.append(run)

    def ask_quantum(self, run):
        chance = draw(self.options.seed, run.job, run.entry.attempts, QUANTUM)
        run.begun, run.quantum = run.entry.generated, self.policy.quantum(run.entry, chance)


def run(workload, policy, options, *, reread=False):
    """What `simulate` must give, but for `most_waiting` and `events`."""
    return Reference(workload, policy, options, reread=reread).run()

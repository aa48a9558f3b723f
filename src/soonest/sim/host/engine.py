"""One simulated engine, iteration by iteration or in leaps."""

from __future__ import annotations

import heapq
import math

from soonest.core import Batching
from soonest.sim.host.batch import UNBOUNDED, Member
from soonest.sim.host.displacement import Displacing
from soonest.sim.workload import picoseconds_at


class Engine(Displacing):
    """One engine under its rules. At each of its boundaries a host calls `settle`, `prepare`, `admit`s and `launch`.

    Between boundaries lies a leap of `_steps` iterations in which nothing is decided: the first takes `_first`
    picoseconds, and each takes `_growth` more than the one before.
    """

    _start = _steps = _first = _growth = 0

    def settle(self) -> None:
        """Apply the iterations up to the boundary: tokens, completions, then attempts whose quantum is over."""
        now, steps, tally, load = self.boundary, self._steps, self.tally, self.load
        tally.iterations += steps
        tally.peak_blocks = max(tally.peak_blocks, load.at(steps - 1) - self._spare + self._rested)
        decoding = self.decoding - len(self._starved)
        starved = {member.job for member in self._starved}
        resumed = self._paused - starved
        tally.gaps(self._first, self._growth, steps, decoding - len(resumed))
        for job in resumed:
            tally.emitted(job, now)
        load.advance(steps)
        self._credit = min(self.rules.capacity, self._credit + steps * self.rules.capacity)
        self._context += decoding * steps
        self.dirty |= bool(self._starting or self._starved)
        for member in self._starved:
            tally.paused(member.job, self._start)
            self._decode_until(member, member.born + 1)
        self._paused = starved
        self._starved = []
        for member in list(self._starting.values()):
            self._progress(member, now)
        self._leave(now)

    def _progress(self, member: Member, now: int) -> None:
        """One iteration of startup or prefill is over; the last one emits a token."""
        emits = member.emits
        if member.startup:
            member.startup -= 1
            return
        member.prefill -= member.grant
        member.computed += member.grant
        member.grant = member.spare = 0
        if not emits:
            return
        entry = member.entry
        self.tally.emitted(member.job, now)
        del self._starting[member.job]
        member.decoding = True
        self._context += entry.request.prompt_tokens + entry.generated + 1
        self._decode_until(member, self.load.tick - entry.generated - 1)
        if self.prefixes is not None:
            self.prefixes.store(member.job)

    def _decode_until(self, member: Member, born: int) -> None:
        member.born = born
        member.stop = born + min(member.output, member.limit)
        heapq.heappush(self._stops, (member.stop, member.job, member.entry.admitted, member))

    def _next_stop(self) -> int:
        """The tick at which the next member leaves."""
        while self._stops:
            stop, job, _, member = self._stops[0]
            if member.stop == stop and self.running.get(job) is member and job not in self._resting:
                return stop
            heapq.heappop(self._stops)
        return UNBOUNDED

    def _leave(self, now: int) -> None:
        over = []
        while self._next_stop() <= self.load.tick:
            member = heapq.heappop(self._stops)[3]
            self.dirty = True
            if self.load.tick - member.born < member.output:
                over.append(member)
            elif self.rules.batching is Batching.DYNAMIC:
                self._rest(member)
            else:
                self._finish(member, now)
        for member in over:
            self._quantum_over(member, now)
        if self._resting and len(self._resting) == len(self.running):
            for member in list(self.running.values()):
                self._finish(member, now)
            self._resting.clear()
            self._rested = 0

    def _quantum_over(self, member: Member, now: int) -> None:
        """Back to the queue; or, where others may take its place, on with the next quantum."""
        entry = member.entry
        entry.generated = self._generated(member)
        if self._displaces and self.policy.yields(entry):
            member.limit = self._limit(entry)
            self._decode_until(member, member.born)
        else:
            self.evict(member, now)

    def _rest(self, member: Member) -> None:
        """Stay, without growing, until the batch ends."""
        self._resting[member.job] = member
        self.load.remove(member.entry)
        held = self.rules.held(member.entry.request.prompt_tokens, member.output - 1)
        self._rested += self.rules.blocks_for(held)

    def _finish(self, member: Member, now: int) -> None:
        self._remove(member)
        self.tally.finished[member.job] = now
        self.tally.end(member.job, member.output, censored=False)
        self.queue.finished(member.entry, member.output)

    def launch(self, now: int, next_arrival: int) -> None:
        """Run on to the first iteration at whose end something can be decided."""
        granted = [m for m in self._starting.values() if m.startup or m.grant or m.emits]
        sequences = self.decoding - len(self._starved) + len(granted) + len(self._resting)
        context = self._context - sum(m.entry.request.prompt_tokens + self._generated(m) for m in self._starved)
        context += sum(m.computed + m.grant for m in granted)
        prefill = sum(m.grant for m in granted)
        self._start, self._first = now, self.step_time.duration(prefill, sequences, context)
        self._growth = self.step_time.per_context_token * self.decoding
        restless = self._starting or self._starved or self._paused
        self._steps = 1 if restless else self._quiet_steps(next_arrival)
        self.boundary = self._time(self._steps)

    def cut(self, time: int) -> None:
        """End the leap at its first boundary at or after `time`."""
        if time > self._start:
            self._steps = min(self._steps, self._steps_until(time, self._steps))
            self.boundary = self._time(self._steps)

    def hear(self, arrival: int) -> None:
        """Somebody will have come by then: end the leap there, as if it had been known at its start."""
        if not self._closed:
            self.cut(arrival)

    def ended(self, time: int) -> int:
        """Iterations of the leap that ended before `time`, which is no later than its end."""
        return self._steps_until(time, self._steps) - 1

    def meets(self, time: int) -> bool:
        """Whether an iteration ends just then; if so, so does the leap."""
        steps = self._steps_until(time, self._steps)
        if self._time(steps) != time:
            return False
        self._steps, self.boundary = steps, time
        return True

    def _time(self, steps: int) -> int:
        return self._start + steps * self._first + self._growth * (steps * (steps - 1) // 2)

    def _steps_until(self, time: int, most: int) -> int:
        """The fewest iterations, at least 1 and at most `most`, that end at or after `time`."""
        low, high = 1, most
        while low < high:
            middle = (low + high) // 2
            if self._time(middle) >= time:
                high = middle
            else:
                low = middle + 1
        return low

    def _quiet_steps(self, next_arrival: int) -> int:
        """Iterations until a stop, an overflow, or a moment at which somebody may join."""
        steps = self._next_stop() - self.load.tick
        if self.rules.blocks is not None:
            steps = min(steps, self.load.until_full(self.rules.blocks))
        if self._closed:
            return steps
        if len(self.queue) and self.dirty:
            return 1
        if len(self.queue) and not self._full:
            steps = self._steps_until_head_fits(steps)
            if self.queue.due < math.inf:
                steps = self._steps_until(picoseconds_at(self.queue.due), steps)
        return self._steps_until(next_arrival, steps)

    @property
    def _full(self) -> bool:
        return self.rules.slots is not None and len(self.running) >= self.rules.slots

    @property
    def _closed(self) -> bool:
        """Whether nobody can join before a stop, whoever comes."""
        return self.rules.batching is Batching.DYNAMIC or (self._full and not self._displaces)

    def _steps_until_head_fits(self, most: int) -> int:
        """Look-ahead can become true with no event at all, as the running approach their ends, and so can pacing."""
        head = self.queue.peek()
        if head is None or self.rules.blocks is None:
            return most
        first = self._steps_until_credit()
        if self.policy.reserve(head) is None:
            return first if 0 < first < most and self.fits(head, first) else most
        room = self.rules.blocks - self.rules.reserve_blocks
        room -= self.rules.blocks_for(self.rules.held(head.request.prompt_tokens, head.generated))
        for ahead in range(max(1, first), most):
            if self.load.at(ahead) > room:
                return most
            if self.fits(head, ahead):
                return ahead
        return most

    def _steps_until_credit(self) -> int:
        """Iterations until pacing lets somebody start."""
        return max(0, 1 + -self._credit // self.rules.capacity) if self.rules.pace else 0

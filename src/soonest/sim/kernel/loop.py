"""The event loop in the kernel, for one engine: as `soonest.sim.host` and the leaps of `soonest.sim.host.engine`."""

from __future__ import annotations

import numpy as np

from soonest.sim.kernel import batch, memory, waiting
from soonest.sim.kernel.compile import compiled
from soonest.sim.kernel.state import (
    AT_REST,
    BIG,
    IN_DECODE,
    RESERVE,
    Conditions,
    State,
)

SECOND = 1e12


@compiled
def _count_gaps(s: State, first: int, growth: int, steps: int, sequences: int) -> None:
    """As `soonest.sim.host.tally.Tally.gaps`."""
    while steps > 0 and sequences > 0:
        i = s.reg[0].bin
        if not s.edges[i] <= first < s.edges[i + 1]:
            i = np.searchsorted(s.edges, first, side="right") - 1
            s.reg[0].bin = i
        inside = steps if growth == 0 else min(steps, -((first - s.edges[i + 1]) // growth))
        s.gaps[i] += inside * sequences
        steps -= inside
        first += inside * growth


@compiled
def _emitted(s: State, job: int, now: int) -> None:
    """A token after a pause, or the first."""
    j = s.jobs
    if j[job].first_token < 0:
        j[job].first_token = now
    else:
        _count_gaps(s, now - j[job].last_token, 0, 1, 1)
    j[job].last_token = -1


@compiled
def _decode_until(s: State, slot: int, born: int) -> None:
    t = s.slots
    t[slot].born = born
    s.stops[slot] = born + min(s.jobs[t[slot].job].output, t[slot].limit)
    s.reg[0].next_stop = min(s.reg[0].next_stop, s.stops[slot])


@compiled
def _progress(s: State, slot: int, now: int) -> None:
    """One iteration of startup or prefill is over; the last one emits a token."""
    t, j = s.slots, s.jobs
    if t[slot].startup:
        t[slot].startup -= 1
        return
    emits = t[slot].grant == t[slot].prefill
    t[slot].prefill -= t[slot].grant
    t[slot].computed += t[slot].grant
    t[slot].grant = t[slot].spare = 0
    if emits:
        job = t[slot].job
        _emitted(s, job, now)
        batch.not_starting(s, slot)
        t[slot].doing = IN_DECODE
        s.reg[0].context += j[job].prompt + j[job].generated + 1
        _decode_until(s, slot, s.reg[0].tick - j[job].generated - 1)


@compiled
def _finish(s: State, c: Conditions, slot: int, now: int) -> None:
    job = s.slots[slot].job
    batch.release(s, c, slot)
    s.jobs[job].finished = now
    s.reg[0].ended += 1
    s.reg[0].done += 1
    s.reg[0].done_tokens += s.jobs[job].output


@compiled
def _leave(s: State, c: Conditions, now: int) -> None:
    """Completions, then attempts whose quantum is over."""
    t, r, j = s.slots, s.reg[0], s.jobs
    if r.next_stop > r.tick:
        return
    running, kept, next_stop = r.running, 0, BIG
    for i in range(running):
        slot = s.order[i]
        if s.stops[slot] > r.tick:
            next_stop = min(next_stop, s.stops[slot])
            s.order[kept] = slot
            kept += 1
            continue
        r.dirty = 1
        if r.tick - t[slot].born < j[t[slot].job].output:
            batch.evict(s, c, slot, now)
        elif c.dynamic:
            s.stops[slot] = BIG
            t[slot].doing = AT_REST
            memory.remove(s, c, slot)
            r.next_blocks += memory.blocks_at_rest(s, c, slot)
            r.resting += 1
            s.order[kept] = slot
            kept += 1
        else:
            _finish(s, c, slot, now)
    r.next_stop = next_stop
    if r.resting and r.resting == r.running:
        for i in range(r.running):
            _finish(s, c, s.order[i], now)


@compiled
def _settle(s: State, c: Conditions) -> None:
    """Apply the iterations up to the boundary."""
    t, r = s.slots, s.reg[0]
    now, steps = r.now, r.steps
    r.iterations += steps
    held = memory.at(s, c, steps - 1)
    r.peak = max(r.peak, held - r.spare)
    decoding = r.running - r.starting - r.resting - r.starved
    resumed = 0
    restless = r.starting or r.starved or r.paused
    if r.paused:
        for i in range(r.running):
            slot = s.order[i]
            if t[slot].paused and not t[slot].starved:
                resumed += 1
                t[slot].paused = 0
                r.paused -= 1
                _emitted(s, t[slot].job, now)
    _count_gaps(s, r.first, r.growth, steps, decoding - resumed)
    r.next_blocks = held + s.phases[-(r.tick + steps) % c.block_size]
    r.tick += steps
    if c.pace:
        r.credit = min(c.room, r.credit + steps * c.room)
    r.context += decoding * steps
    if restless:
        r.dirty |= r.starting > 0 or r.starved > 0
        for i in range(r.starting - 1, -1, -1):
            _progress(s, t[i].starter, now)
        for i in range(r.running if r.starved else 0):
            slot = s.order[i]
            if t[slot].starved:
                t[slot].starved = 0
                if not t[slot].paused:
                    t[slot].paused = 1
                    r.paused += 1
                    if s.jobs[t[slot].job].last_token < 0:
                        s.jobs[t[slot].job].last_token = r.start
                _decode_until(s, slot, t[slot].born + 1)
        if r.starved:
            r.starved = 0
            batch.find_next_stop(s)
    _leave(s, c, now)


@compiled
def _time(s: State, steps: int) -> int:
    """The boundary after so many iterations of the leap."""
    return int(s.reg[0].start + steps * s.reg[0].first + s.reg[0].growth * (steps * (steps - 1) // 2))


@compiled
def _steps_until(s: State, time: int, most: int) -> int:
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if _time(s, middle) >= time:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _steps_until_due(s: State, seconds: float, most: int) -> int:
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if _time(s, middle) / SECOND >= seconds:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _steps_until_head_fits(s: State, c: Conditions, most: int) -> int:
    """Look-ahead can become true with no event at all, and so can pacing."""
    job = s.reg[0].head
    if job < 0 or c.blocks == BIG:
        return most
    first = max(0, 1 + -s.reg[0].credit // c.room) if c.pace else 0
    if s.rows[s.jobs[job].row, RESERVE] == 0:
        return first if 0 < first < most and batch.fits(s, c, job, first) else most
    held = s.jobs[job].prompt + s.jobs[job].generated + c.newest_held
    room = c.limit - memory.blocks_for(c, held)
    for ahead in range(max(1, first), most):
        if memory.at(s, c, ahead) > room:
            return most
        if batch.fits(s, c, job, ahead):
            return ahead
    return most


@compiled
def _next_arrival(s: State) -> int:
    arrived = s.reg[0].arrived
    return int(s.jobs[arrived].arrival) if arrived < len(s.jobs) else BIG


@compiled
def _quiet_steps(s: State, c: Conditions) -> int:
    """Iterations until a stop, an overflow, or a moment at which somebody may join."""
    r = s.reg[0]
    steps = r.next_stop - r.tick
    if c.blocks < BIG:
        steps = min(steps, memory.until_full(s, c))
    if c.dynamic or r.running >= c.slots:
        return steps
    if r.waiting:
        if r.dirty:
            return 1
        steps = _steps_until_head_fits(s, c, steps)
        if c.overdue:
            due = waiting.due(s, c)
            if due < np.inf:
                steps = _steps_until_due(s, due, steps)
    return _steps_until(s, _next_arrival(s), steps)


@compiled
def _launch(s: State, c: Conditions) -> None:
    """Run on to the first iteration at whose end something can be decided."""
    t, r = s.slots, s.reg[0]
    decoding = r.running - r.starting - r.resting
    sequences = decoding - r.starved + r.resting
    context, prefill = r.context, 0
    for i in range(r.starting):
        slot = t[i].starter
        if t[slot].startup or t[slot].grant or t[slot].prefill == 0:
            sequences += 1
            context += t[slot].computed + t[slot].grant
            prefill += t[slot].grant
    for i in range(r.running if r.starved else 0):
        slot = s.order[i]
        if t[slot].starved:
            context -= s.jobs[t[slot].job].prompt + batch.generated(s, slot)
    r.start = r.now
    r.first = c.iteration + c.per_sequence * sequences + c.per_prefill_token * prefill + c.per_context_token * context
    r.growth = c.per_context_token * decoding
    r.steps = 1 if r.starting or r.starved or r.paused else _quiet_steps(s, c)


@compiled
def _batch_due(s: State, c: Conditions) -> float:
    while s.jobs[s.reg[0].oldest].admitted >= 0:
        s.reg[0].oldest += 1
    return float(s.jobs[s.reg[0].oldest].seconds + c.timeout)


@compiled
def _admit(s: State, c: Conditions, now: int) -> None:
    """Let the waiting join until the head must wait."""
    r = s.reg[0]
    if r.waiting == 0 or not batch.has_place(s, c):
        return
    if not r.dirty and not waiting.due(s, c) <= now / SECOND:
        head = r.head
        if head < 0 or not batch.fits(s, c, head, 0):
            return
    waiting.reorder(s, c, now / SECOND)
    while r.head >= 0 and batch.has_place(s, c) and batch.fits(s, c, r.head, 0):
        if c.dynamic and r.running == 0 and r.waiting < c.slots and not now / SECOND >= _batch_due(s, c):
            break
        batch.admit(s, c, waiting.pop(s, c), now)
    r.dirty = 0


@compiled
def _next_time(s: State, c: Conditions) -> int:
    r = s.reg[0]
    if r.running:
        return _time(s, r.steps)
    arrival = _next_arrival(s)
    if r.waiting == 0:
        return arrival
    if not c.dynamic or r.waiting >= c.slots:
        return int(r.now)
    due = _batch_due(s, c)
    if arrival / SECOND <= due:
        return max(int(r.now), arrival)
    time = int(due * SECOND)
    low, high = max(0, time - 4096), time + 4096
    while low < high:
        middle = (low + high) // 2
        if middle / SECOND >= due:
            high = middle
        else:
            low = middle + 1
    return max(int(r.now), min(arrival, low))


@compiled
def loop(s: State, c: Conditions) -> bool:
    """Run until every job ended; false if simulated time ran out."""
    r, total = s.reg[0], len(s.jobs)
    while r.ended < total:
        now = _next_time(s, c)
        r.now = now
        if now >= c.latest:
            return False
        r.events += 1
        first = r.arrived
        while _next_arrival(s) <= now:
            batch.first_estimate(s, c, r.arrived)
            waiting.push(s, r.arrived)
            r.arrived += 1
        if r.arrived > first:
            r.dirty = 1
            r.most = max(r.most, r.waiting)
        if r.running:
            _settle(s, c)
        batch.prepare(s, c, now)
        _admit(s, c, now)
        if r.running:
            _launch(s, c)
    return True

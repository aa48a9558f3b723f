"""The running requests in the kernel: grants, evictions and admissions, as in `soonest.sim.host.batch`."""

from __future__ import annotations

import numpy as np

from soonest.core.policy import AREA_LIMIT
from soonest.sim.draws import CLEAR, QUANTUM
from soonest.sim.kernel import memory
from soonest.sim.kernel.compile import compiled
from soonest.sim.kernel.state import (
    AT_REST,
    BIG,
    FIRST_HIGH,
    FIRST_LOW,
    GROW,
    IN_DECODE,
    IN_PREFILL,
    KEEP_ADMITTED,
    KEEP_AREA,
    KEEP_ESTIMATE,
    KEEP_LIVE,
    LIFT,
    PLUS,
    QUANTUM_FIRST,
    QUANTUM_HAZARD,
    RESERVE,
    Conditions,
    State,
)
from soonest.sim.kernel.waiting import area_left, push

HAZARD_LIMIT = float(1 << 40)
DRAW = 2.0**-53


@compiled
def _mix(state: np.uint64) -> np.uint64:
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def draw(seed: int, job: int, attempt: int, purpose: int) -> float:
    """As `soonest.sim.draws.draw`."""
    state = _mix(_mix(_mix(_mix(np.uint64(seed)) ^ np.uint64(job)) ^ np.uint64(attempt)) ^ np.uint64(purpose))
    return (float(state >> np.uint64(11)) + 1.0) * DRAW


@compiled
def clamp(s: State, c: Conditions, job: int, estimate: float) -> None:
    """As `soonest.core.Entry.clamp`."""
    room = max(1, c.room - s.jobs[job].prompt)
    s.jobs[job].estimate = int(max(1.0, min(estimate, float(min(room, s.jobs[job].cap)))))


@compiled
def first_estimate(s: State, c: Conditions, job: int) -> None:
    """The policy's `first`."""
    row = s.rows[s.jobs[job].row]
    clamp(s, c, job, row[FIRST_LOW] * s.jobs[job].low + row[FIRST_HIGH] * s.jobs[job].high)


@compiled
def generated(s: State, slot: int) -> int:
    """Tokens that the slot's request has generated."""
    job = s.slots[slot].job
    if s.slots[slot].doing == IN_PREFILL:
        return int(s.jobs[job].generated)
    if s.slots[slot].doing == AT_REST:
        return int(s.jobs[job].output)
    return int(s.reg[0].tick - s.slots[slot].born)


@compiled
def not_starting(s: State, slot: int) -> None:
    """Take a slot off the list of starters."""
    t, r = s.slots, s.reg[0]
    r.starting -= 1
    i = 0
    while t[i].starter != slot:
        i += 1
    t[i].starter = t[r.starting].starter


@compiled
def release(s: State, c: Conditions, slot: int) -> None:
    """Free the slot; the caller takes it out of `order`."""
    t, r = s.slots, s.reg[0]
    s.stops[slot] = BIG
    if c.pace:
        g, kept = generated(s, slot), t[slot].kept
        used = s.jobs[t[slot].job].prompt * (g - kept) + (g * (g + 1) - kept * (kept + 1)) // 2
        r.credit += t[slot].paid - used
    if t[slot].doing == IN_PREFILL:
        not_starting(s, slot)
    else:
        r.context -= s.jobs[t[slot].job].prompt + generated(s, slot)
    r.paused -= t[slot].paused
    r.starved -= t[slot].starved
    t[slot].starved = 0
    r.spare -= t[slot].spare
    if t[slot].doing == AT_REST:
        r.resting -= 1
        r.next_blocks -= memory.blocks_at_rest(s, c, slot)
    else:
        memory.remove(s, c, slot)
    r.running -= 1
    t[r.free].free = slot
    r.free += 1


@compiled
def sort_by_keep(s: State, c: Conditions) -> None:
    """Put `order` best first: overflow takes the last. New slots join at its end, in order of admission."""
    t = s.slots
    if c.by_admission:
        return
    for i in range(s.reg[0].running):
        slot = s.order[i]
        job = t[slot].job
        row = s.rows[s.jobs[job].row]
        e = float(s.jobs[job].estimate)
        g = float(generated(s, slot))
        live = max(e, g)
        keep = row[KEEP_ADMITTED] * s.jobs[job].number + row[KEEP_ESTIMATE] * e + row[KEEP_LIVE] * live
        if row[KEEP_AREA] != 0:
            keep += row[KEEP_AREA] * area_left(e, g, s.jobs[job].high, float(s.jobs[job].prompt))
        t[slot].keep = keep
        k = i - 1
        while k >= 0 and (t[s.order[k]].keep < keep or (t[s.order[k]].keep == keep and t[s.order[k]].job > job)):
            s.order[k + 1] = s.order[k]
            k -= 1
        s.order[k + 1] = slot


@compiled
def evict(s: State, c: Conditions, slot: int, now: int) -> None:
    """Send an attempt back to the queue; the caller takes the slot out of `order`."""
    t, j = s.slots, s.jobs
    job = t[slot].job
    g = generated(s, slot)
    row = s.rows[j[job].row]
    estimate = max(float(j[job].estimate), row[GROW] * g + row[PLUS], row[LIFT] * j[job].high)
    decoding = t[slot].doing == IN_DECODE
    release(s, c, slot)
    clamp(s, c, job, estimate)
    if c.restart:
        j[job].lost += g
        j[job].first_token = -1
        j[job].last_token = -1
        j[job].generated = 0
    else:
        j[job].generated = g
        j[job].recomputed += t[slot].computed
        if decoding:
            j[job].recomputed += g - t[slot].kept - 1
            if j[job].last_token < 0:
                j[job].last_token = now
    j[job].attempts += 1
    j[job].evictions += 1
    s.reg[0].dirty = 1
    if j[job].evictions > c.max_evictions:
        s.reg[0].ended += 1
    else:
        push(s, job)


@compiled
def _give(s: State, c: Conditions, slot: int, grant: int) -> None:
    """Let a starting slot compute so many tokens; without its last it emits nothing and holds less."""
    t = s.slots
    t[slot].grant = grant
    t[slot].spare = 0
    if t[slot].startup == 0 and grant == t[slot].prefill:
        return
    memory.stall(s, c, slot)
    if t[slot].startup == 0:
        job = t[slot].job
        whole = s.jobs[job].prompt + s.jobs[job].generated + c.newest_held - 1
        t[slot].spare = memory.blocks_for(c, whole) - memory.blocks_for(c, t[slot].computed + grant)
        s.reg[0].spare += t[slot].spare


@compiled
def _grant(s: State, c: Conditions) -> None:
    t, r = s.slots, s.reg[0]
    r.spare = 0
    r.budget = c.token_budget
    need = r.running - r.starting - r.resting
    for i in range(r.starting):
        slot = t[i].starter
        if t[slot].startup == 0:
            need += t[slot].prefill
    if need <= c.token_budget:
        if c.token_budget < BIG:
            r.budget -= need
        for i in range(r.starting):
            slot = t[i].starter
            _give(s, c, slot, 0 if t[slot].startup else t[slot].prefill)
        return
    sort_by_keep(s, c)
    for i in range(r.running):
        slot = s.order[i]
        if t[slot].doing == IN_PREFILL:
            grant = 0 if t[slot].startup else min(t[slot].prefill, r.budget)
            _give(s, c, slot, grant)
            r.budget -= grant
        elif r.budget == 0:
            t[slot].starved = 1
            r.starved += 1
            memory.stall(s, c, slot)
        else:
            r.budget -= 1


@compiled
def find_next_stop(s: State) -> None:
    """Note the tick at which the next of the running leaves."""
    stop = BIG
    for i in range(s.reg[0].running):
        stop = min(stop, s.stops[s.order[i]])
    s.reg[0].next_stop = stop


@compiled
def _evict_granted(s: State, c: Conditions, slot: int, now: int) -> None:
    """Evict a slot whose iteration was planned: what it was granted is there for others."""
    t = s.slots[slot]
    if c.token_budget < BIG and not t.starved:
        s.reg[0].budget += 1 if t.doing == IN_DECODE else t.grant
    evict(s, c, slot, now)


@compiled
def prepare(s: State, c: Conditions, now: int) -> None:
    """Grant tokens, then evict until the iteration fits memory."""
    t, r = s.slots, s.reg[0]
    r.evicted = 0
    r.forming = r.running == 0
    if r.forming:
        r.credit = c.room
    _grant(s, c)
    rounds = 0
    while r.next_blocks - r.spare > c.blocks:
        r.evicted = 1
        sort_by_keep(s, c)
        running = r.running
        if c.clear > 0:
            kept = 0
            for i in range(running):
                slot = s.order[i]
                job = t[slot].job
                if draw(c.seed, job, s.jobs[job].attempts, CLEAR + rounds) <= c.clear:
                    _evict_granted(s, c, slot, now)
                else:
                    s.order[kept] = slot
                    kept += 1
        else:
            _evict_granted(s, c, s.order[running - 1], now)
        rounds += 1
    if rounds:
        find_next_stop(s)


@compiled
def has_place(s: State, c: Conditions) -> bool:
    """Whether somebody could join the next iteration, memory aside."""
    if s.reg[0].running >= c.slots:
        return False
    if c.dynamic:
        return bool(s.reg[0].forming)
    return bool(s.reg[0].budget > 0 and (c.admit_after_evict or not s.reg[0].evicted))


@compiled
def fits(s: State, c: Conditions, job: int, ahead: int) -> bool:
    """Whether this job may start now, or `ahead` iterations from now if nothing else changes."""
    r, j = s.reg[0], s.jobs
    if r.running == 0:
        return True
    if c.pace and r.credit + ahead * c.room <= 0:
        return False
    need = j[job].prompt + j[job].generated
    if not c.chunked and need > r.budget:
        return False
    if c.blocks == BIG:
        return True
    held = need + c.newest_held
    reserving = s.rows[j[job].row, RESERVE] > 0
    limit = c.limit
    if not reserving:
        limit += r.spare
        if not c.whole_prompt and need > r.budget:
            limit += memory.blocks_for(c, held) - memory.blocks_for(c, held - c.newest_held - need + r.budget)
    start = r.tick + ahead
    remaining = max(j[job].estimate - j[job].generated, 1) if reserving else 1
    return memory.fits(s, c, held - 1 - start, start + remaining, limit, ahead, reserving)


@compiled
def admit(s: State, c: Conditions, job: int, now: int) -> None:
    """Start a job."""
    t, j, r = s.slots, s.jobs, s.reg[0]
    r.admissions += 1
    j[job].number = r.admissions
    row = s.rows[j[job].row]
    limit = BIG
    if row[QUANTUM_HAZARD] > 0:
        share = draw(c.seed, job, j[job].attempts, QUANTUM)
        quantum = int(min((j[job].prompt + j[job].estimate) / share, HAZARD_LIMIT)) - j[job].prompt
        limit = j[job].generated + max(1, quantum)
    elif row[QUANTUM_FIRST] > 0 and j[job].attempts == 0:
        limit = j[job].generated + j[job].estimate
    r.free -= 1
    slot = t[r.free].free
    if c.pace:
        e, g = float(j[job].estimate), float(j[job].generated)
        t[slot].paid = int(min(area_left(e, g, j[job].high, float(j[job].prompt)), AREA_LIMIT))
        r.credit -= t[slot].paid
    need = j[job].prompt + j[job].generated
    s.order[r.running] = slot
    t[slot].job = job
    t[slot].doing = IN_PREFILL
    s.stops[slot] = BIG
    t[slot].startup = c.startup
    t[slot].prefill = need
    t[slot].computed = 0
    t[slot].limit = limit
    t[slot].kept = j[job].generated
    t[slot].paused = t[slot].starved = t[slot].spare = 0
    reserving = row[RESERVE] > 0
    t[slot].offset = need + c.newest_held - 1 - r.tick
    t[slot].end = r.tick + (max(j[job].estimate - j[job].generated, 1) if reserving else 1)
    t[r.starting].starter = slot
    r.running += 1
    r.starting += 1
    memory.add(s, c, slot)
    grant = 0 if c.startup else min(need, r.budget)
    if c.token_budget < BIG:
        r.budget -= grant
    _give(s, c, slot, grant)
    if j[job].admitted < 0:
        j[job].admitted = now

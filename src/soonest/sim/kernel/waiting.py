"""The waiting room in the kernel: `soonest.core.Queue` for one class and one tenant."""

from __future__ import annotations

from soonest.core.policy import affine as plain_affine
from soonest.sim.kernel.compile import compiled
from soonest.sim.kernel.state import (
    AGE,
    ESTIMATE,
    EXPECTED,
    RATIO,
    Conditions,
    State,
)

affine = compiled(plain_affine)
PRIOR_TOKENS = 128.0


@compiled
def mean_tokens(s: State) -> float:
    """What an unknown answer is expected to take."""
    return s.reg[0].done_tokens / s.reg[0].done if s.reg[0].done else PRIOR_TOKENS


@compiled
def _before(s: State, a: int, b: int) -> bool:
    return s.jobs[a].base < s.jobs[b].base or (s.jobs[a].base == s.jobs[b].base and a < b)


@compiled
def _up(s: State, start: int, i: int) -> None:
    job = s.room[start + i].heap
    while i > 0:
        parent = (i - 1) >> 1
        other = s.room[start + parent].heap
        if not _before(s, job, other):
            break
        s.room[start + i].heap = other
        s.jobs[other].place = i
        i = parent
    s.room[start + i].heap = job
    s.jobs[job].place = i


@compiled
def _down(s: State, start: int, size: int, i: int) -> None:
    job = s.room[start + i].heap
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and _before(s, s.room[start + child + 1].heap, s.room[start + child].heap):
            child += 1
        other = s.room[start + child].heap
        if not _before(s, other, job):
            break
        s.room[start + i].heap = other
        s.jobs[other].place = i
        i = child
    s.room[start + i].heap = job
    s.jobs[job].place = i


@compiled
def push(s: State, job: int) -> None:
    """Let a job in; it counts from the next `reorder` on."""
    s.room[s.reg[0].pending].pending = job
    s.reg[0].pending += 1
    s.reg[0].waiting += 1


@compiled
def _insert(s: State, c: Conditions, job: int) -> None:
    j = s.jobs
    lane = s.jobs[job].lane
    if j[job].known:
        row = s.rows[j[job].row]
        m = max(j[job].expected, 1.0)
        s.jobs[job].base = affine(
            row[ESTIMATE], row[EXPECTED], row[AGE], row[RATIO], float(j[job].estimate), m, j[job].seconds
        )[0]
    else:
        s.jobs[job].base = 0.0
    if s.lanes[lane].size == 0:
        s.lanes[s.reg[0].active].active = lane
        s.lanes[lane].active_place = s.reg[0].active
        s.reg[0].active += 1
    s.room[s.lanes[lane].start + s.lanes[lane].size].heap = job
    s.lanes[lane].size += 1
    _up(s, s.lanes[lane].start, s.lanes[lane].size - 1)
    if c.overdue and not s.jobs[job].is_aged:
        s.jobs[job].is_aged = 1
        i = s.reg[0].aged
        s.reg[0].aged += 1
        while i > 0 and s.room[(i - 1) >> 1].aged > job:
            s.room[i].aged = s.room[(i - 1) >> 1].aged
            i = (i - 1) >> 1
        s.room[i].aged = job


@compiled
def remove(s: State, job: int) -> None:
    """Take a placed job out."""
    lane = s.jobs[job].lane
    start, i = s.lanes[lane].start, s.jobs[job].place
    s.lanes[lane].size -= 1
    last = s.room[start + s.lanes[lane].size].heap
    if last != job:
        s.room[start + i].heap = last
        s.jobs[last].place = i
        _up(s, start, i)
        _down(s, start, s.lanes[lane].size, s.jobs[last].place)
    s.jobs[job].place = -1
    s.reg[0].waiting -= 1
    if s.lanes[lane].size == 0:
        s.reg[0].active -= 1
        moved = s.lanes[s.reg[0].active].active
        s.lanes[s.lanes[lane].active_place].active = moved
        s.lanes[moved].active_place = s.lanes[lane].active_place


@compiled
def oldest(s: State) -> int:
    """The placed job that arrived first, or -1."""
    while s.reg[0].aged > 0 and s.jobs[s.room[0].aged].place < 0:
        s.jobs[s.room[0].aged].is_aged = 0
        s.reg[0].aged -= 1
        size, job, i = s.reg[0].aged, s.room[s.reg[0].aged].aged, 0
        while 2 * i + 1 < size:
            child = 2 * i + 1
            if child + 1 < size and s.room[child + 1].aged < s.room[child].aged:
                child += 1
            if s.room[child].aged >= job:
                break
            s.room[i].aged = s.room[child].aged
            i = child
        s.room[i].aged = job
    return s.room[0].aged if s.reg[0].aged > 0 else -1


@compiled
def overdue(s: State, c: Conditions) -> int:
    """The oldest, if it fell due by the frozen time, or -1."""
    if not c.overdue:
        return -1
    job = oldest(s)
    if job >= 0 and s.reg[0].frozen_now >= s.jobs[job].seconds + c.overdue_after:
        return job
    return -1


@compiled
def due(s: State, c: Conditions) -> float:
    """When the oldest falls due, in seconds, if it is not yet."""
    if c.overdue:
        job = oldest(s)
        if job >= 0 and s.jobs[job].seconds + c.overdue_after > s.reg[0].frozen_now:
            return s.jobs[job].seconds + c.overdue_after
    return float("inf")


@compiled
def _key(s: State, lane: int, job: int) -> float:
    if lane > 0:
        return s.jobs[job].base + s.lanes[lane].slope * s.reg[0].frozen_now
    mean = s.reg[0].frozen_mean
    row = s.rows[s.jobs[job].row]
    e = max(1.0, float(round(mean)))
    base, slope = affine(row[ESTIMATE], row[EXPECTED], row[AGE], row[RATIO], e, max(mean, 1.0), s.jobs[job].seconds)
    return base + slope * s.reg[0].frozen_now


@compiled
def _find_head(s: State, c: Conditions) -> int:
    if s.reg[0].active == 0:
        return -1
    if s.reg[0].since >= c.overdue_every - 1:
        job = overdue(s, c)
        if job >= 0:
            return job
    best = s.room[s.lanes[s.lanes[0].active].start].heap
    if s.reg[0].active == 1:
        return best
    best_key = _key(s, s.lanes[0].active, best)
    for i in range(1, s.reg[0].active):
        lane = s.lanes[i].active
        job = s.room[s.lanes[lane].start].heap
        key = _key(s, lane, job)
        if key < best_key or (key == best_key and job < best):
            best, best_key = job, key
    return best


@compiled
def reorder(s: State, c: Conditions, now: float) -> None:
    """Read the ranks and freeze the order."""
    s.reg[0].frozen_now = now
    s.reg[0].frozen_mean = mean_tokens(s)
    for i in range(s.reg[0].pending):
        _insert(s, c, s.room[i].pending)
    s.reg[0].pending = 0
    s.reg[0].head = _find_head(s, c)


@compiled
def pop(s: State, c: Conditions) -> int:
    """Take the head out and find the next."""
    job = s.reg[0].head
    by_lane = s.reg[0].since >= c.overdue_every - 1 and overdue(s, c) == job
    s.reg[0].since = 0 if by_lane else min(s.reg[0].since + 1, c.overdue_every - 1)
    remove(s, job)
    s.reg[0].head = _find_head(s, c)
    return job

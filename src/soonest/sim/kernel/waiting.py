"""The waiting room in the kernel: `soonest.core.Queue` for one class and one tenant."""

from __future__ import annotations

from soonest.core.policy import affine as plain_affine
from soonest.core.policy import area_left as plain_area_left
from soonest.core.queue import PRIOR_TOKENS
from soonest.sim.kernel.compile import compiled
from soonest.sim.kernel.state import (
    AGE,
    AREA,
    ESTIMATE,
    EXPECTED,
    RATIO,
    Conditions,
    State,
)

affine = compiled(plain_affine)
area_left = compiled(plain_area_left)


@compiled
def mean_tokens(s: State) -> float:
    """What an unknown answer is expected to take."""
    return s.reg[0].done_tokens / s.reg[0].done if s.reg[0].done else PRIOR_TOKENS


@compiled
def _up(s: State, c: Conditions, start: int, i: int, base: float, job: int) -> None:
    """Put a job into the hole at `i`, or above it; of equals, the earlier job stands higher."""
    while i > 0:
        parent = (i - 1) >> 1
        other = s.room[start + parent]
        if other.base < base or (other.base == base and other.heap < job):
            break
        _set(s, c, start, i, other.base, other.heap)
        i = parent
    _set(s, c, start, i, base, job)


@compiled
def _down(s: State, c: Conditions, start: int, size: int, i: int, base: float, job: int) -> None:
    """Put a job into the hole at `i`, or below it."""
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        left, right = s.room[start + child], s.room[start + min(child + 1, size - 1)]
        if right.base < left.base or (right.base == left.base and right.heap < left.heap):
            child += 1
            left = right
        if base < left.base or (base == left.base and job < left.heap):
            break
        _set(s, c, start, i, left.base, left.heap)
        i = child
    _set(s, c, start, i, base, job)


@compiled
def _set(s: State, c: Conditions, start: int, i: int, base: float, job: int) -> None:
    s.room[start + i].base = base
    s.room[start + i].heap = job
    if c.overdue:  # only then is a job removed from the middle
        s.jobs[job].place = i


@compiled
def push(s: State, job: int) -> None:
    """Let a job in; it counts from the next `reorder` on."""
    s.hall[s.reg[0].pending].pending = job
    s.reg[0].pending += 1
    s.reg[0].waiting += 1


@compiled
def _insert(s: State, c: Conditions, job: int) -> None:
    j = s.jobs[job]
    base = 0.0
    if j.known:
        row = s.rows[j.row]
        m = max(j.expected, 1.0)
        base = affine(row[ESTIMATE], row[EXPECTED], row[AGE], row[RATIO], float(j.estimate), m, j.seconds)[0]
        if row[AREA] != 0:
            base += row[AREA] * area_left(float(j.estimate), float(j.generated), j.high, float(j.prompt))
    lane = s.lanes[j.lane]
    if lane.size == 0:
        s.lanes[s.reg[0].active].active = j.lane
        lane.active_place = s.reg[0].active
        s.reg[0].active += 1
    lane.size += 1
    _up(s, c, lane.start, lane.size - 1, base, job)
    if c.overdue and not j.is_aged:
        j.is_aged = 1
        i = s.reg[0].aged
        s.reg[0].aged += 1
        while i > 0 and s.hall[(i - 1) >> 1].aged > job:
            s.hall[i].aged = s.hall[(i - 1) >> 1].aged
            i = (i - 1) >> 1
        s.hall[i].aged = job


@compiled
def remove(s: State, c: Conditions, job: int) -> None:
    """Take a placed job out: a lane's first, or, with an overdue lane, any."""
    j = s.jobs[job]
    lane = s.lanes[j.lane]
    i = j.place if c.overdue else 0
    lane.size -= 1
    base, last = s.room[lane.start + lane.size].base, s.room[lane.start + lane.size].heap
    if last != job:
        above = s.room[lane.start + ((i - 1) >> 1)]
        if i > 0 and (base < above.base or (base == above.base and last < above.heap)):
            _up(s, c, lane.start, i, base, last)
        else:
            _down(s, c, lane.start, lane.size, i, base, last)
    j.place = -1
    s.reg[0].waiting -= 1
    if lane.size == 0:
        s.reg[0].active -= 1
        moved = s.lanes[s.reg[0].active].active
        s.lanes[lane.active_place].active = moved
        s.lanes[moved].active_place = lane.active_place


@compiled
def oldest(s: State) -> int:
    """The placed job that arrived first, or -1."""
    while s.reg[0].aged > 0 and s.jobs[s.hall[0].aged].place < 0:
        s.jobs[s.hall[0].aged].is_aged = 0
        s.reg[0].aged -= 1
        size, job, i = s.reg[0].aged, s.hall[s.reg[0].aged].aged, 0
        while 2 * i + 1 < size:
            child = 2 * i + 1
            if child + 1 < size and s.hall[child + 1].aged < s.hall[child].aged:
                child += 1
            if s.hall[child].aged >= job:
                break
            s.hall[i].aged = s.hall[child].aged
            i = child
        s.hall[i].aged = job
    return s.hall[0].aged if s.reg[0].aged > 0 else -1


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
        return s.room[s.lanes[lane].start].base + s.lanes[lane].slope * s.reg[0].frozen_now
    mean = s.reg[0].frozen_mean
    row = s.rows[s.jobs[job].row]
    e = max(1.0, float(round(mean)))
    base, slope = affine(row[ESTIMATE], row[EXPECTED], row[AGE], row[RATIO], e, max(mean, 1.0), s.jobs[job].seconds)
    if row[AREA] != 0:
        base += row[AREA] * area_left(e, 0.0, e, float(s.jobs[job].prompt))
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
        _insert(s, c, s.hall[i].pending)
    s.reg[0].pending = 0
    s.reg[0].head = _find_head(s, c)


@compiled
def pop(s: State, c: Conditions) -> int:
    """Take the head out and find the next."""
    job = s.reg[0].head
    by_lane = s.reg[0].since >= c.overdue_every - 1 and overdue(s, c) == job
    s.reg[0].since = 0 if by_lane else min(s.reg[0].since + 1, c.overdue_every - 1)
    remove(s, c, job)
    s.reg[0].head = _find_head(s, c)
    return job

"""The compiled rounds; what calls them is in `rounds`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soonest.core.policy import HAZARD_LIMIT
from soonest.sim.draws import QUANTUM
from soonest.sim.kernel.batch import draw
from soonest.sim.kernel.compile import compiled
from soonest.sim.kernel.state import (
    AREA,
    BIG,
    ESTIMATE,
    EXPECTED,
    GROW,
    KEEP_ADMITTED,
    KEEP_AREA,
    KEEP_ESTIMATE,
    KEEP_LIVE,
    LIFT,
    PLUS,
    QUANTUM_FIRST,
    QUANTUM_HAZARD,
)
from soonest.sim.kernel.waiting import area_left

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
TIES = 1 << 32
"""Purpose of a draw, and any above it: who of equals goes. Far above those of clearing."""


class Jobs(NamedTuple):
    """Columns of shape (n,): what jobs are, how far they are, and what is forecast of them.

    `begun` is the round in which the tokens so far would have begun in one go, `kept` how many an eviction left.
    """

    prompt: Ints
    output: Ints
    row: Ints
    room: Ints
    estimate: Ints
    begun: Ints
    kept: Ints
    attempts: Ints
    number: Ints
    limit: Ints
    gone: Ints
    end: Ints
    high: Floats
    expected: Floats


class Room(NamedTuple):
    """Space: the running; heaps of those who wait and of those who may be evicted; rounds ahead."""

    running: Ints
    waiting: Ints
    evictable: Ints
    held: Ints
    ending: Ints
    sizes: Ints
    ranks: Floats
    keeps: Floats


@compiled
def _less(key: Floats, item: Ints, a: int, b: int) -> bool:
    return bool(key[a] < key[b] or (key[a] == key[b] and item[a] < item[b]))


@compiled
def _swap(key: Floats, item: Ints, a: int, b: int) -> None:
    key[a], key[b] = key[b], key[a]
    item[a], item[b] = item[b], item[a]


@compiled
def _push(key: Floats, item: Ints, size: int, new_key: float, new_item: int) -> None:
    """Into a heap of this size, the smallest on top."""
    key[size], item[size] = new_key, new_item
    i = size
    while i > 0 and _less(key, item, i, (i - 1) >> 1):
        _swap(key, item, i, (i - 1) >> 1)
        i = (i - 1) >> 1


@compiled
def _sink(key: Floats, item: Ints, size: int, i: int) -> None:
    while 2 * i + 1 < size:
        child = 2 * i + 1
        if child + 1 < size and _less(key, item, child + 1, child):
            child += 1
        if not _less(key, item, child, i):
            return
        _swap(key, item, i, child)
        i = child


@compiled
def _pop(key: Floats, item: Ints, size: int) -> None:
    """The top of a heap of this size goes."""
    _swap(key, item, 0, size - 1)
    _sink(key, item, size - 1, 0)


@compiled
def _wait(j: Jobs, room: Room, numbers: Floats, i: int, waiting: int) -> None:
    """Into the queue, in which so many wait."""
    row, e = numbers[j.row[i]], float(j.estimate[i])
    rank = row[ESTIMATE] * e + row[EXPECTED] * j.expected[i]
    if row[AREA] != 0:
        rank += row[AREA] * area_left(e, float(j.kept[i]), j.high[i], float(j.prompt[i]))
    _push(room.ranks, room.waiting, waiting, rank, i)


@compiled
def _lose(j: Jobs, room: Room, numbers: Floats, i: int, age: int, waiting: int, restart: bool) -> None:  # noqa: FBT001 - compiled
    """An attempt is lost and waits again."""
    row = numbers[j.row[i]]
    estimate = max(float(j.estimate[i]), row[GROW] * age + row[PLUS], row[LIFT] * j.high[i])
    j.estimate[i] = int(max(1.0, min(estimate, float(j.room[i]))))
    j.attempts[i] += 1
    j.kept[i] = 0 if restart else age
    j.gone[i] = 1
    _wait(j, room, numbers, i, waiting)


@compiled
def _stay(j: Jobs, running: Ints, size: int) -> int:
    """Those who are not gone, in their order; returns how many."""
    left = 0
    for k in range(size):
        if j.gone[running[k]]:
            j.gone[running[k]] = 0
        else:
            running[left] = running[k]
            left += 1
    return left


@compiled
def _choose(j: Jobs, room: Room, numbers: Floats, size: int, now: int, seed: int, ties: bool) -> None:  # noqa: FBT001 - compiled
    """A heap of the running, on top who goes first; of equals the later row, or one drawn."""
    for k in range(size):
        i = room.running[k]
        row, age = numbers[j.row[i]], now - j.begun[i]
        keep = row[KEEP_ADMITTED] * j.number[i] + row[KEEP_ESTIMATE] * j.estimate[i]
        keep += row[KEEP_LIVE] * max(j.estimate[i], age)
        if row[KEEP_AREA] != 0:
            keep += row[KEEP_AREA] * area_left(float(j.estimate[i]), float(age), j.high[i], float(j.prompt[i]))
        if ties:
            keep += draw(seed, i, j.attempts[i], TIES + age)
        room.keeps[k], room.evictable[k] = keep, -i
    for k in range((size >> 1) - 1, -1, -1):
        _sink(room.keeps, room.evictable, size, k)


@compiled
def _look(j: Jobs, room: Room, size: int, now: int) -> int:
    """What those who run to their estimates hold in each round ahead; returns how far that is."""
    far = 0
    for k in range(size):
        i = room.running[k]
        ahead = max(j.begun[i] + j.estimate[i] - now, 1)
        room.ending[ahead] += 1
        room.sizes[ahead] += j.prompt[i] + now - j.begun[i]
        far = max(far, ahead)
    total = several = 0
    for h in range(far, 0, -1):
        several += room.ending[h]
        total += room.sizes[h]
        room.held[h] = total + several * h
        room.ending[h] = room.sizes[h] = 0
    return far


@compiled
def _fits(j: Jobs, held: Ints, far: int, memory: int, i: int) -> bool:
    """Whether it fits to its estimate; then it is counted."""
    s, left = j.prompt[i] + j.kept[i], _left(j, i)
    for h in range(1, min(left, far) + 1):
        if held[h] + s + h > memory:
            return False
    for h in range(1, left + 1):
        held[h] = (held[h] if h <= far else 0) + s + h
    return True


@compiled
def _left(j: Jobs, i: int) -> int:
    """Rounds from a start to its estimate."""
    return int(max(j.estimate[i] - j.kept[i], 1))


@compiled
def _start(j: Jobs, numbers: Floats, i: int, now: int, number: int, seed: int) -> None:
    row = numbers[j.row[i]]
    j.begun[i], j.number[i], j.limit[i] = now - j.kept[i], number, BIG
    if row[QUANTUM_HAZARD] > 0:
        share = draw(seed, i, j.attempts[i], QUANTUM)
        j.limit[i] = max(1, int(min((j.prompt[i] + j.estimate[i]) / share, HAZARD_LIMIT)) - j.prompt[i])
    elif row[QUANTUM_FIRST] > 0 and j.attempts[i] == 0:
        j.limit[i] = j.estimate[i]


@compiled
def _admit(j: Jobs, room: Room, size: int, waiting: int, now: int, memory: int, holds: bool) -> int:  # noqa: FBT001 - compiled
    """Who may start now starts; returns how many."""
    far = reserved = started = 0
    if holds:
        for k in range(size):
            i = room.running[k]
            reserved += j.prompt[i] + max(j.estimate[i], now + 1 - j.begun[i])
    else:
        far = _look(j, room, size, now)
    while started < waiting:
        i = room.waiting[0]
        if holds:
            reserved += j.prompt[i] + j.estimate[i]
            if reserved > memory and size + started:
                break
        elif not _fits(j, room.held, far, memory, i):
            break
        far = max(far, _left(j, i))
        _pop(room.ranks, room.waiting, waiting - started)
        room.running[size + started] = i
        started += 1
    return started


@compiled
def play(  # noqa: C901 - one round after the other, in the papers' order
    j: Jobs,
    room: Room,
    numbers: Floats,
    memory: int,
    holds: bool,  # noqa: FBT001 - compiled
    most: int,
    seed: int,
    ties: bool,  # noqa: FBT001
    restart: bool,  # noqa: FBT001
) -> bool:
    """Until all have ended; false if one is evicted more than `most` times, which leaves its tokens or not."""
    n, waiting, size, now, done, admissions = len(j.output), 0, 0, 0, 0, 0
    for i in range(n):
        _wait(j, room, numbers, i, i)
    waiting = n
    while done < n:
        need = 0
        for k in range(size):
            need += j.prompt[room.running[k]] + now + 1 - j.begun[room.running[k]]
        if need > memory:
            _choose(j, room, numbers, size, now, seed, ties)
            left = size
            while need > memory:
                i = -room.evictable[0]
                _pop(room.keeps, room.evictable, left)
                left -= 1
                need -= j.prompt[i] + now + 1 - j.begun[i]
                _lose(j, room, numbers, i, now - j.begun[i], waiting, restart)
                waiting += 1
                if j.attempts[i] > most:
                    return False
            size = _stay(j, room.running, size)
        started = _admit(j, room, size, waiting, now, memory, holds)
        for k in range(size, size + started):
            admissions += 1
            _start(j, numbers, room.running[k], now, admissions, seed)
        size, waiting = size + started, waiting - started
        now += 1
        for k in range(size):
            i = room.running[k]
            age = now - j.begun[i]
            if age == j.output[i]:
                j.end[i], j.gone[i] = now, 1
                done += 1
            elif age >= j.limit[i]:
                _lose(j, room, numbers, i, age, waiting, restart)
                waiting += 1
                if j.attempts[i] > most:
                    return False
        size = _stay(j, room.running, size)
    return True

"""Memory in the kernel: `soonest.core.Load`."""

from __future__ import annotations

from soonest.sim.kernel.compile import compiled
from soonest.sim.kernel.state import BIG, Conditions, State


@compiled
def blocks_for(c: Conditions, tokens: int) -> int:
    """Blocks that hold this many tokens."""
    return tokens if c.block_size == 1 else -(-tokens // c.block_size)


@compiled
def _first_end(s: State, end: int) -> int:
    """How many of the sorted ends lie before `end`."""
    low, high = 0, s.reg[0].ends
    while low < high:
        middle = (low + high) >> 1
        if s.ends[middle].end < end:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def add(s: State, c: Conditions, slot: int) -> None:
    """Count a slot, whose offset and end are set, from the next tick on."""
    offset = s.slots[slot].offset
    s.phases[offset % c.block_size] += 1
    s.reg[0].next_blocks += blocks_for(c, offset + s.reg[0].tick + 1)
    if c.reserves:
        i, size = _first_end(s, s.slots[slot].end), s.reg[0].ends
        for k in range(size, i, -1):
            s.ends[k].end = s.ends[k - 1].end
            s.ends[k].owner = s.ends[k - 1].owner
        s.ends[i].end = s.slots[slot].end
        s.ends[i].owner = slot
        s.reg[0].ends += 1


@compiled
def remove(s: State, c: Conditions, slot: int) -> None:
    """Free what a slot holds."""
    offset = s.slots[slot].offset
    s.phases[offset % c.block_size] -= 1
    s.reg[0].next_blocks -= blocks_for(c, offset + s.reg[0].tick + 1)
    if c.reserves:
        i = _first_end(s, s.slots[slot].end)
        while s.ends[i].owner != slot:
            i += 1
        s.reg[0].ends -= 1
        for k in range(i, s.reg[0].ends):
            s.ends[k].end = s.ends[k + 1].end
            s.ends[k].owner = s.ends[k + 1].owner


@compiled
def stall(s: State, c: Conditions, slot: int) -> None:
    """A slot emits nothing in the next tick."""
    remove(s, c, slot)
    s.slots[slot].offset -= 1
    s.slots[slot].end += 1
    add(s, c, slot)


@compiled
def blocks_at_rest(s: State, c: Conditions, slot: int) -> int:
    """What a finished member of a dynamic batch goes on holding."""
    job = s.jobs[s.slots[slot].job]
    return blocks_for(c, job.prompt + job.output - 1 + c.newest_held)


@compiled
def at(s: State, c: Conditions, ticks: int) -> int:
    """Blocks held in the iteration that comes after `ticks` more."""
    size, running = c.block_size, s.reg[0].running - s.reg[0].resting
    if size == 1:
        return s.reg[0].next_blocks + ticks * running
    blocks = s.reg[0].next_blocks + ticks // size * running
    phase = -(s.reg[0].tick + 1) % size
    for _ in range(ticks % size):
        blocks += s.phases[phase]
        phase = phase - 1 if phase else size - 1
    return blocks


@compiled
def until_full(s: State, c: Conditions) -> int:
    """How many iterations can run before one would hold more blocks than there are."""
    size, running = c.block_size, s.reg[0].running
    if running == 0:
        return BIG
    spare = c.blocks - s.reg[0].next_blocks
    ticks, room = 1 + spare // running * size, spare % running
    phase = -(s.reg[0].tick + ticks) % size
    while room >= s.phases[phase]:
        room -= s.phases[phase]
        ticks += 1
        phase = phase - 1 if phase else size - 1
    return ticks


@compiled
def fits(s: State, c: Conditions, offset: int, end: int, limit: int, ahead: int, reserving: bool) -> bool:  # noqa: FBT001 - compiled
    """The look-ahead for a newcomer that starts `ahead` ticks from now; see `soonest.core.Load.fits`."""
    first = s.reg[0].tick + ahead + 1
    if at(s, c, ahead) + blocks_for(c, offset + first) > limit:
        return False
    if not reserving or (end <= first and s.ends[s.reg[0].ends - 1].end <= first):
        return True
    size = c.block_size
    later = _first_end(s, first)
    if c.holds:
        held = blocks_for(c, offset + end)
        for i in range(s.reg[0].ends):
            held += blocks_for(c, s.slots[s.ends[i].owner].offset + max(s.ends[i].end, first))
        return held <= limit
    tokens, count, mine = 0, 0, True
    i = s.reg[0].ends - 1
    while i >= later or mine:
        when = end if mine and (i < later or end >= s.ends[i].end) else s.ends[i].end
        if mine and end == when:
            tokens, count, mine = tokens + offset, count + 1, False
        while i >= later and s.ends[i].end == when:
            tokens, count = tokens + s.slots[s.ends[i].owner].offset, count + 1
            i -= 1
        held = tokens + count * when
        if blocks_for(c, held) > limit:
            return False
        if size > 1 and (held + count * (size - 1)) // size > limit:
            exact = 0 if mine else blocks_for(c, offset + when)
            for k in range(i + 1, s.reg[0].ends):
                exact += blocks_for(c, s.slots[s.ends[k].owner].offset + when)
            if exact > limit:
                return False
    return True

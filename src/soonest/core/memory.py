"""What the running hold of the KV cache now, and what they would hold at the peak."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from soonest.core.entry import Entry
    from soonest.core.rules import Rules


@dataclass(slots=True)
class _Share:
    """A running entry's part: it holds `offset + tick` tokens at a tick and is predicted to end at `end`."""

    offset: int
    end: int


class Load:
    """The memory of one engine, in ticks: iterations in which every running entry emits one token.

    An entry that emits nothing in an iteration is `stall`ed for it. What is held `at` the next tick decides on
    overflow; `fits` is the look-ahead of Jaillet et al., 2025 (arXiv:2502.07115): would the peak, if everyone ran to
    what the policy reserves and then ended, stay within the limit? It checks predicted ends only, which is exact:
    between them memory never falls. A reserve of `None` asks for the next tick alone, which is allocate-now.
    An entry past its reserve counts as ending at the next tick. With `holds` nobody is predicted to end: each stays at
    the size at which its reserve is used up.
    """

    def __init__(self, rules: Rules, *, holds: bool = False) -> None:
        self.rules = rules
        self.holds = holds
        self.tick = 0
        self.next_blocks = 0
        self._shares: dict[int, _Share] = {}
        self._by_end: list[tuple[int, int]] = []
        self._phases = [0] * rules.block_size

    def __len__(self) -> int:
        return len(self._shares)

    def add(self, entry: Entry, reserve: int | None) -> None:
        """Count an entry from the next tick on."""
        offset, end = self._predict(entry, reserve)
        self._shares[entry.sequence] = _Share(offset, end)
        insort(self._by_end, (end, entry.sequence))
        self._phases[offset % self.rules.block_size] += 1
        self.next_blocks += self.rules.blocks_for(offset + self.tick + 1)

    def remove(self, entry: Entry) -> None:
        """Free what an entry holds."""
        share = self._shares.pop(entry.sequence)
        del self._by_end[bisect_left(self._by_end, (share.end, entry.sequence))]
        self._phases[share.offset % self.rules.block_size] -= 1
        self.next_blocks -= self.rules.blocks_for(share.offset + self.tick + 1)

    def without(self, entries: Iterable[Entry]) -> Load:
        """What would be held if these went: a copy."""
        other = Load(self.rules, holds=self.holds)
        other.tick, other.next_blocks = self.tick, self.next_blocks
        other._shares, other._by_end, other._phases = dict(self._shares), list(self._by_end), list(self._phases)
        for entry in entries:
            other.remove(entry)
        return other

    def stall(self, entry: Entry) -> None:
        """An entry emits nothing in the next tick: its size and its remaining tokens stay."""
        share = self._shares[entry.sequence]
        del self._by_end[bisect_left(self._by_end, (share.end, entry.sequence))]
        self._phases[share.offset % self.rules.block_size] -= 1
        self.next_blocks -= self.rules.blocks_for(share.offset + self.tick + 1)
        share.offset -= 1
        share.end += 1
        insort(self._by_end, (share.end, entry.sequence))
        self._phases[share.offset % self.rules.block_size] += 1
        self.next_blocks += self.rules.blocks_for(share.offset + self.tick + 1)

    def advance(self, ticks: int = 1) -> None:
        """Everyone who is not stalled emitted so many tokens."""
        self.next_blocks = self.at(ticks)
        self.tick += ticks

    def at(self, ticks: int) -> int:
        """Blocks held in the iteration that comes after `ticks` more."""
        size = self.rules.block_size
        cycles, rest = divmod(ticks, size)
        blocks = self.next_blocks + cycles * len(self._shares)
        for step in range(self.tick + 1, self.tick + 1 + rest):
            blocks += self._phases[-step % size]  # held grows past a multiple of the block size
        return blocks

    def until_full(self, limit: int) -> int:
        """How many iterations can run before one would hold more than `limit` blocks; at least 1 fits now."""
        if not self._shares:
            return 1 << 60
        cycles, room = divmod(limit - self.next_blocks, len(self._shares))
        ticks = 1 + cycles * self.rules.block_size
        step = self.tick + ticks
        while room >= (grown := self._phases[-step % self.rules.block_size]):
            room -= grown
            step += 1
        return step - self.tick

    def fits(self, entry: Entry, reserve: int | None, limit: int, ahead: int = 0) -> bool:
        """Whether the peak stays within `limit` blocks if the entry starts `ahead` ticks from now."""
        if not self._shares:
            return True  # an idle engine always admits
        offset, end = self._predict(entry, reserve)
        offset, end = offset - ahead, end + ahead
        first = self.tick + ahead + 1
        if self.at(ahead) + self.rules.blocks_for(offset + first) > limit:
            return False
        if reserve is None or (end <= first and self._by_end[-1][0] <= first):
            return True
        if self.holds:
            held = sum(self.rules.blocks_for(s.offset + max(s.end, first)) for s in self._shares.values())
            return held + self.rules.blocks_for(offset + end) <= limit
        return self._peak_fits(offset, end, first, limit)

    def _predict(self, entry: Entry, reserve: int | None) -> tuple[int, int]:
        remaining = 1 if reserve is None else max(reserve - entry.generated, 1)
        held = self.rules.held(entry.request.prompt_tokens, entry.generated)
        return held - 1 - self.tick, self.tick + remaining

    def _peak_fits(self, offset: int, end: int, first: int, limit: int) -> bool:
        """Check every predicted end after `first`, from the last to the first, adding up who still runs then."""
        blocks_for, shares = self.rules.blocks_for, self._shares
        later = bisect_left(self._by_end, (first, -1))
        ends = [(e, shares[sequence].offset) for e, sequence in self._by_end[later:]]
        insort(ends, (end, offset))
        spread = self.rules.block_size - 1
        tokens = count = 0
        for i in range(len(ends) - 1, -1, -1):
            at, start = ends[i]
            tokens += start
            count += 1
            if i and ends[i - 1][0] == at:
                continue
            held = tokens + count * at  # the sum before rounding up to blocks bounds it from both sides
            if blocks_for(held) > limit:
                return False
            if (held + count * spread) // (spread + 1) > limit and sum(blocks_for(o + at) for _, o in ends[i:]) > limit:
                return False
        return True

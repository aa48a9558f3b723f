"""A cache of prompt prefixes beside the engine, for traces that carry block hashes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soonest.sim.workload import Workload


class PrefixCache:
    """Which leading prompt blocks need no prefill: those that an earlier prefill computed and that are still stored.

    Holds `capacity` blocks, least recently used first out, in a store of its own as Mooncake's pool (Qin et al., 2024,
    arXiv:2407.00079): a hit saves prefill, not KV memory of the running. Nothing is assumed to hit.
    """

    def __init__(self, workload: Workload, capacity: int) -> None:
        self._blocks = workload.blocks
        self._size = workload.block_tokens
        self._capacity = capacity
        self._stored: OrderedDict[int, None] = OrderedDict()

    def hit_tokens(self, job: int) -> int:
        """Leading tokens of the job's prompt that are stored."""
        hits = 0
        for block in self._blocks[job]:
            if block not in self._stored:
                break
            hits += 1
        return hits * self._size

    def store(self, job: int) -> None:
        """The job's prompt is computed."""
        for block in self._blocks[job]:
            self._stored[block] = None
            self._stored.move_to_end(block)
        while len(self._stored) > self._capacity:
            self._stored.popitem(last=False)

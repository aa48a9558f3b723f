"""Waiting entries in the order of their ranks, with time-dependent ranks kept in heaps that never re-sort."""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from soonest.core.entry import Entry
    from soonest.core.policy import Policy, Rank

Item = tuple[float, float, int, float | None, "Entry"]
"""Base, arrival, sequence, slope, entry: the order within a lane is that of the first three."""

UNKNOWN = None


class Lanes:
    """A heap for each slope; equal slopes never change their order, so only the heaps' heads are compared.

    The order is (rank, arrival, first insertion) at the time of the last `reorder`; within a lane the base stands for
    the rank. Unless the policy `ranks_unknown`, unknown forecasts form one lane in arrival order whose head is ranked
    as a fresh request that expects the mean of finished answers.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = 0.0
        self.mean = 1.0
        self._live: dict[int, Item] = {}
        self._index: dict[float | None, int] = {}
        self._heaps: list[list[Item]] = []
        self._keys: list[float | None] = []
        self._free: list[int] = []
        self._base = np.full(1, np.inf)
        self._slope = np.zeros(1)
        self._dead = 0

    def __len__(self) -> int:
        return len(self._live)

    def push(self, entry: Entry) -> None:
        """Take an entry in at its rank."""
        request = entry.request
        ranked = request.forecast.known or self.policy.ranks_unknown
        base, slope = self.policy.rank(entry) if ranked else (0.0, UNKNOWN)
        item = (base, request.arrival, entry.sequence, slope, entry)
        lane = self._lane(slope)
        self._live[entry.sequence] = item
        heapq.heappush(self._heaps[lane], item)
        if self._heaps[lane][0] is item:
            self._refresh(lane)

    def remove(self, entry: Entry) -> None:
        """Take an entry out, wherever it stands; amortised O(log n)."""
        item = self._live.pop(entry.sequence)
        lane = self._index[item[3]]
        if self._heaps[lane][0] is item:
            self._refresh(lane)
            return
        self._dead += 1
        if self._dead > len(self._live) + 64:
            self._rebuild()

    def reorder(self, now: float, mean: float) -> None:
        """Freeze the order as it is at `now` seconds."""
        self.now = now
        if mean != self.mean:
            self.mean = mean
            if UNKNOWN in self._index:
                self._refresh(self._index[UNKNOWN])

    def head(self) -> Entry:
        """The first in the frozen order; there must be one."""
        if len(self._index) == 1:
            (lane,) = self._index.values()
            return self._heaps[lane][0][4]
        keys = self._base + self._slope * self.now
        best = keys.min()
        tied = np.flatnonzero(keys == best)
        heads = (self._heaps[lane][0] for lane in tied)
        return min(heads, key=lambda item: item[1:3])[4]

    def head_order(self) -> tuple[float, float, int]:
        """What the head is compared by: rank, arrival, first insertion."""
        _, arrival, sequence, slope, _ = self._live[self.head().sequence]
        lane = self._index[slope]
        return float(self._base[lane] + self._slope[lane] * self.now), arrival, sequence

    def _lane(self, slope: float | None) -> int:
        lane = self._index.get(slope)
        if lane is None:
            if self._free:
                lane = self._free.pop()
            else:
                lane = len(self._heaps)
                self._heaps.append([])
                self._keys.append(None)
                if lane == len(self._base):
                    self._base = np.concatenate((self._base, np.full(lane, np.inf)))
                    self._slope = np.concatenate((self._slope, np.zeros(lane)))
            self._index[slope] = lane
            self._keys[lane] = slope
        return lane

    def _refresh(self, lane: int) -> None:
        """Drop dead heads and note the rank of the living one."""
        heap, live = self._heaps[lane], self._live
        while heap and live.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)
        if not heap:
            del self._index[self._keys[lane]]
            self._free.append(lane)
            self._base[lane], self._slope[lane] = np.inf, 0.0
            return
        slope = self._keys[lane]
        if slope is UNKNOWN:
            rank = self._unknown_rank(heap[0][4])
            self._base[lane], self._slope[lane] = rank
        else:
            self._base[lane], self._slope[lane] = heap[0][0], slope

    def _unknown_rank(self, head: Entry) -> Rank:
        estimate = max(1, round(self.mean))
        return self.policy.rank(replace(head, estimate=estimate, expected=self.mean, generated=0, attempts=0))

    def _rebuild(self) -> None:
        self._dead = 0
        for lane in list(self._index.values()):
            heap = [item for item in self._heaps[lane] if self._live.get(item[2]) is item]
            heapq.heapify(heap)
            self._heaps[lane] = heap
            self._refresh(lane)

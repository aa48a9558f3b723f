"""Whoever waited longest for its size goes first."""

from dataclasses import replace

from soonest.core import Entry, Numbers, Policy, Rank
from soonest.policies.shortest import Shortest
from soonest.policies.wrapper import Wrapper

RATIO = Numbers(ratio=1)


class ResponseRatio(Wrapper):
    """Serve by waiting time over expected tokens; everything but the order is the inner policy's.

    A short request wins early, a long one in the end: nobody starves while the system is stable. Highest response
    ratio next, Brinch Hansen, 1971.
    """

    name = "response_ratio"
    source = "highest response ratio next (Brinch Hansen, 1971)"

    def __init__(self, inner: Policy | None = None) -> None:
        super().__init__(inner if inner is not None else Shortest())

    def _row_around(self, row: Numbers) -> Numbers:
        return replace(row, estimate=0, expected=0, area=0, age=0, ratio=1)

    def _rank_around(self, entry: Entry) -> Rank:
        return RATIO.rank(entry)

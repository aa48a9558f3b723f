"""Whoever waited longest for its size goes first."""

from soonest.core import Entry, Numbers, Policy, Rank
from soonest.policies.shortest import Shortest
from soonest.policies.wrapper import Wrapper

RATIO = {"estimate": 0.0, "expected": 0.0, "age": 0.0, "ratio": 1.0}


class ResponseRatio(Wrapper):
    """Serve by waiting time over expected tokens; everything but the order is the inner policy's.

    A short request wins early, a long one in the end: nobody starves while the system is stable. Highest response
    ratio next, Brinch Hansen, 1971.
    """

    name = "response_ratio"
    source = "highest response ratio next (Brinch Hansen, 1971)"

    def __init__(self, inner: Policy | None = None) -> None:
        super().__init__(inner if inner is not None else Shortest())

    def _rank_numbers(self, row: Numbers) -> dict[str, float]:  # noqa: ARG002 - this rank replaces any other
        return RATIO

    def _rank_around(self, entry: Entry) -> Rank:
        return Numbers(**RATIO).rank(entry)

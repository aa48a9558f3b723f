"""Longest forecast first."""

from soonest.core import Numbers, Plain


class Longest(Plain):
    """Serve the request expected to finish last: the worst case, to show what order can cost.

    For comparisons only.
    """

    name = "longest"
    source = "the reverse of SSJF"
    rows = (Numbers(expected=-1),)

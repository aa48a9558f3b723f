"""Least memory first: whoever may still hold the most waits, and goes."""

from soonest.core import Need, Numbers, Plain


class LeastArea(Plain):
    """Serve by the memory that a request may still hold, in tokens times iterations; on overflow the most goes.

    Holds memory for the lower bound, as `a_min`, and learns from overflow. What lies between what is ruled out and the
    upper bound counts as log-uniform. For intervals that mean something: one that is wide and wrong waits long. This
    project's own; see docs/adr/0022.
    """

    name = "least_area"
    source = "this project (docs/adr/0022)"
    needs = frozenset({Need.EVICT})
    rows = (Numbers(first_low=1, first_high=0, area=1, reserve_estimate=True, keep_admitted=0, keep_area=-1),)

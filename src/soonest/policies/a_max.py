"""Reserve the predicted upper bound."""

from soonest.core import Numbers, Plain


class AMax(Plain):
    """Serve by the forecast's upper bound and hold memory for all of it.

    Never evicts while answers stay below `high`; a wide interval leaves memory idle. An answer that outgrows its
    bound may cost the newest its place, and the evicted asks for twice what it had. Chen, Ye, Zhou, 2025
    (arXiv:2508.14544).
    """

    name = "a_max"
    source = "A_max (arXiv:2508.14544)"
    rows = (Numbers(estimate=1, reserve_estimate=True, grow=2),)

"""Try everyone for the lower bound, then reserve the upper."""

from soonest.core import Need, Numbers, Plain

PROMOTE = Numbers(first_low=1, first_high=0, estimate=1, reserve_estimate=True, lift=1, quantum_first=True)


class AEll(Plain):
    """Give each request exactly `low` tokens; who needs more queues again by `high`.

    Right for two-point lengths, exact when they are `low` or `high`; wasteful where most answers lie between.
    Chen, Ye, Zhou, 2025 (arXiv:2508.14544).
    """

    name = "a_ell"
    source = "A_ell (arXiv:2508.14544)"
    needs = frozenset({Need.QUANTUM})
    rows = (PROMOTE,)

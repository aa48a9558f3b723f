"""A_min as its analysis wants it: attempts past their estimate end at random."""

from soonest.core import Need, Numbers, Plain


class AMinRandomized(Plain):
    """Serve by the lower bound; after each token past it, lose the attempt with probability 1/(s + age + 1).

    The theory oracle A_min^P: it realises the fluid analysis of A_min exactly, for checking the closed forms, and is
    not meant for serving. Derived from Chen, Ye, Zhou, 2025 (arXiv:2508.14544).
    """

    name = "a_min_randomized"
    source = "A_min's analysis (arXiv:2508.14544)"
    needs = frozenset({Need.EVICT, Need.QUANTUM, Need.RESTART})
    holds = True
    rows = (Numbers(first_low=1, first_high=0, estimate=1, reserve_estimate=True, plus=1, quantum_hazard=True),)

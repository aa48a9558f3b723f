"""First come, first served, with memory held for the forecast's upper bound."""

from soonest.core import Numbers, Plain


class FCFSReserve(Plain):
    """Serve requests in arrival order, each only when the peak of future memory fits.

    Never overflows while answers stay below `high`, and wastes what they do not use. The memory-aware FCFS of Jaillet
    et al., 2025 (arXiv:2502.07115).
    """

    name = "fcfs_reserve"
    source = "MC-SF (arXiv:2502.07115)"
    rows = (Numbers(age=1, reserve_estimate=True, grow=2),)

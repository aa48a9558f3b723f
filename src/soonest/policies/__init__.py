"""One algorithm, one file; this page maps names to classes."""

from soonest.policies.a_ell import AEll
from soonest.policies.a_max import AMax
from soonest.policies.a_min import AMin
from soonest.policies.a_min_randomized import AMinRandomized
from soonest.policies.aging import Aging
from soonest.policies.deadline import Deadline
from soonest.policies.fcfs import FCFS
from soonest.policies.fcfs_reserve import FCFSReserve
from soonest.policies.gittins import Gittins
from soonest.policies.least_area import LeastArea
from soonest.policies.longest import Longest
from soonest.policies.mlfq import MLFQ
from soonest.policies.registry import BUILT_IN, known_policies, policy
from soonest.policies.response_ratio import ResponseRatio
from soonest.policies.shortest import Shortest
from soonest.policies.trail import Trail
from soonest.policies.two_point import TwoPoint

__all__ = [
    "BUILT_IN",
    "FCFS",
    "MLFQ",
    "AEll",
    "AMax",
    "AMin",
    "AMinRandomized",
    "Aging",
    "Deadline",
    "FCFSReserve",
    "Gittins",
    "LeastArea",
    "Longest",
    "ResponseRatio",
    "Shortest",
    "Trail",
    "TwoPoint",
    "known_policies",
    "policy",
]

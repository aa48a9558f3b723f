"""From words such as `aging(shortest, rate=5)` to a policy."""

from __future__ import annotations

from typing import Final

from soonest.core import Policy, PolicyError
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
from soonest.policies.response_ratio import ResponseRatio
from soonest.policies.shortest import Shortest
from soonest.policies.trail import Trail
from soonest.policies.two_point import TwoPoint
from soonest.words import Registry

GROUP: Final = "soonest.policies"
BUILT_IN: Final[dict[str, type[Policy]]] = {
    kind.name: kind
    for kind in (
        FCFS,
        FCFSReserve,
        Shortest,
        Longest,
        AMax,
        AMin,
        AMinRandomized,
        AEll,
        TwoPoint,
        LeastArea,
        Gittins,
        Trail,
        MLFQ,
        Deadline,
        ResponseRatio,
        Aging,
    )
}
POLICIES: Final = Registry(Policy, BUILT_IN, GROUP, "policy", "aging(shortest, rate=5)", PolicyError)


def known_policies() -> dict[str, type[Policy]]:
    """Every policy by name: the built-in ones, then those that other packages registered under `soonest.policies`."""
    return POLICIES.known()


def policy(words: str) -> Policy:
    """Make the policy that these words name.

    A name, or a name with arguments in parentheses: policies, words, numbers, or `key=value`; for example `shortest`,
    `a_min(live, order=smallest)`, `aging(response_ratio(a_min), rate=5)`. `module:Class` names a class elsewhere, which
    is imported: only name code that you trust.

    Raises:
        PolicyError: no such policy, or arguments that it does not take.
    """
    made = POLICIES.make(words)
    if type(made).rank is Policy.rank or made.numbers == ():
        raise PolicyError(f"policy {made.name!r} does not answer `rank`: it is a base, not a policy")
    return made

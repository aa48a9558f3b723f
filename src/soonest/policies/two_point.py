"""Choose between A_ell and A_min by the width of each interval."""

import math

from soonest.core import Need, Numbers, Plain, Request
from soonest.policies.a_ell import PROMOTE
from soonest.policies.a_min import AMin

THRESHOLD = (3 - math.sqrt(5)) / 2


class TwoPoint(Plain):
    """Promote requests whose low/high is below 0.382 as `a_ell`, serve the others as `a_min`.

    The adaptive rule for two-point lengths: its worst ratio to hindsight is (3 + sqrt 5)/4 = 1.309 for s = 0.
    Derived from Chen, Ye, Zhou, 2025 (arXiv:2508.14544).
    """

    name = "two_point"
    source = "adaptive rule (arXiv:2508.14544)"
    needs = frozenset({Need.EVICT, Need.QUANTUM})
    rows: tuple[Numbers, ...] = (PROMOTE, *AMin().rows)

    def row(self, request: Request) -> int:
        """0 for a wide interval, 1 for a narrow one."""
        forecast = request.forecast
        return 0 if forecast.low < THRESHOLD * forecast.high else 1

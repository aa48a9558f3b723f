"""Trust the predicted lower bound and learn from overflow."""

from typing import Literal

from soonest.core import Need, Numbers, Plain, PolicyError


class AMin(Plain):
    """Serve by the forecast's lower bound, raised to what an evicted attempt generated.

    Packs memory tightly and pays with evictions. `key` is what overflow compares: the estimate as last `stored`, or
    `live`, raised by the tokens generated since; `order` says who goes first, the `smallest` or the `largest`.
    Competitive within O(log 1/alpha) of hindsight for `stored`, `smallest`; with a perfect forecast it is MC-SF.
    Chen, Ye, Zhou, 2025 (arXiv:2508.14544); Jaillet et al., 2025 (arXiv:2502.07115).
    """

    name = "a_min"
    source = "A_min (arXiv:2508.14544)"
    needs = frozenset({Need.EVICT})

    def __init__(
        self, key: Literal["stored", "live"] = "stored", order: Literal["smallest", "largest"] = "largest"
    ) -> None:
        if key not in {"stored", "live"}:
            raise PolicyError(f"a_min: key must be 'stored' or 'live', got {key!r}")
        if order not in {"smallest", "largest"}:
            raise PolicyError(f"a_min: order must be 'smallest' or 'largest', got {order!r}")
        sign = 1.0 if order == "smallest" else -1.0
        self.rows = (
            Numbers(
                first_low=1,
                first_high=0,
                estimate=1,
                reserve_estimate=True,
                keep_admitted=0,
                keep_estimate=sign * (key == "stored"),
                keep_live=sign * (key == "live"),
            ),
        )

"""Let a rank improve with waiting."""

import math
from dataclasses import replace

from soonest.core import Entry, Numbers, Policy, PolicyError, Rank
from soonest.policies.shortest import Shortest
from soonest.policies.wrapper import Wrapper


class Aging(Wrapper):
    """Subtract `rate` times the seconds waited from the inner rank.

    With a rank in tokens, `rate` is in tokens a second: at 10, a request that waited a minute longer overtakes one
    that is 600 tokens shorter. The order of two waiting requests never changes, so it costs nothing.
    """

    name = "aging"
    source = "classic ageing, with keys that stay"

    def __init__(self, inner: Policy | None = None, rate: float = 10.0) -> None:
        if not (math.isfinite(rate) and rate >= 0):
            raise PolicyError(f"aging: rate must be finite and >= 0 rank units a second, got {rate}")
        self.rate = float(rate)
        super().__init__(inner if inner is not None else Shortest())

    def _row_around(self, row: Numbers) -> Numbers:
        return replace(row, age=row.age + self.rate)

    def _rank_around(self, entry: Entry) -> Rank:
        base, slope = self.inner.rank(entry)
        return Rank(base + self.rate * entry.request.arrival, slope - self.rate)

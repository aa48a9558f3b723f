"""Shortest predicted remaining time, with preemption only early on."""

from functools import lru_cache

from soonest.core import Entry, Forecast, Need, PolicyError, Rank
from soonest.policies.attained import Attained, fewest


class Trail(Attained):
    """Serve who is expected to need the fewest tokens more; a running one gives way only before `c` of its answer.

    What is left is the mean of the forecast's law given the tokens so far, the place of the embeddings by which the
    authors predict anew at each token. `c` is the share of the first forecast's mean after which a request keeps its
    place: 0 never gives way, 1 does so until it has what was forecast. Early on little is lost; later much memory is.

    Shahout et al., 2024 (TRAIL, arXiv:2410.01035).
    """

    name = "trail"
    source = "TRAIL (arXiv:2410.01035)"
    needs = frozenset({Need.DISPLACE})

    def __init__(self, c: float = 0.8) -> None:
        if not 0 <= c <= 1:
            raise PolicyError(f"trail: c is a share in [0, 1], got {c}")
        self.c = float(c)

    def rank(self, entry: Entry) -> Rank:
        """Expected tokens to come."""
        if not entry.request.forecast.known:
            return Rank(entry.expected)
        return Rank(_to_come(entry.request.forecast, fewest(entry), entry.generated))

    def keep(self, entry: Entry) -> float:
        """Who may be displaced goes before who keeps its place; of each the longest first."""
        left = max(self.rank(entry).base, 1.0)
        return -left if self.yields(entry) else 1 / left

    def yields(self, entry: Entry) -> bool:
        """Before a share `c` of what was forecast."""
        return entry.request.forecast.known and entry.generated < self.c * entry.request.forecast.expected


@lru_cache(maxsize=1 << 14)
def _to_come(forecast: Forecast, least: int, generated: int) -> float:
    return max(forecast.after(least - 1).expected - generated, 1.0)

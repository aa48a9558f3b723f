"""The optimal order where the law of each length is known, and nothing else."""

import math
from functools import lru_cache
from itertools import pairwise

from soonest.core import Entry, Forecast, Need, Rank
from soonest.policies.attained import Attained, fewest


class Gittins(Attained):
    """Serve where the fewest expected tokens buy a completion.

    For an answer X of which g tokens are there, known to be longer than that, going on to t tokens costs
    E[min(X, t)] - g expected tokens for P(X <= t) expected completions. The rank is the smallest ratio of the two, the
    inverse of the Gittins index; the quantum ends at the t that gives it, where the index may fall. Past the top of its
    forecast an answer is expected to double.

    Minimises mean latency on one server when forecasts are the true laws and giving way costs nothing. Each place given
    up costs tokens here, lost or computed again. Gittins, 1979; Aalto, Ayesta, Righter, 2009 (On the Gittins index in
    the M/G/1 queue).
    """

    name = "gittins"
    source = "the Gittins index in the M/G/1 queue (Aalto, Ayesta, Righter, 2009)"
    needs = frozenset({Need.DISPLACE, Need.QUANTUM})

    def rank(self, entry: Entry) -> Rank:
        """Expected tokens a completion; expected tokens alone of an unknown answer."""
        if not entry.request.forecast.known:
            return Rank(entry.expected)
        return Rank(_index(entry.request.forecast, fewest(entry), entry.generated)[0])

    def quantum(self, entry: Entry, draw: float) -> int | None:  # noqa: ARG002 - nothing is left to chance
        """Tokens until its index may fall; none where nothing is known."""
        if not entry.request.forecast.known:
            return None
        stop = _index(entry.request.forecast, fewest(entry), entry.generated)[1]
        return None if math.isinf(stop) else max(1, math.ceil(stop) - entry.generated)

    def yields(self, entry: Entry) -> bool:
        """Always, if its forecast is known."""
        return entry.request.forecast.known


@lru_cache(maxsize=1 << 14)
def _index(forecast: Forecast, least: int, generated: int) -> tuple[float, float]:
    """Expected tokens a completion for an answer of at least `least`, and the token count at which to stop for it.

    Within a linear piece of the law the ratio first rises and then falls, if it does both: the minimum is at an edge.
    """
    law = forecast.after(least - 1)
    if law.exhausted:
        return float(2 * least - generated), math.inf
    spent = law.tokens[0] - generated
    best, stop = math.inf, math.inf
    for (done, level), (start, end) in zip(pairwise(law.levels), pairwise(law.tokens), strict=True):
        spent += (end - start) * (1 - (done + level) / 2)
        ratio = spent / level
        if ratio <= best:
            best, stop = ratio, end
    return best, stop

"""Whoever can wait least for its target goes first."""

import math

from soonest.core import Entry, Policy, PolicyError, Rank


class Deadline(Policy):
    """Serve by slack: the time that is left to a request's target, less the time that the answer still takes.

    Targets are a request's own, for its first token (TTFT) and for its end (E2E); who has neither gets `ttft` and `e2e`
    seconds. The end is taken to need `pace` seconds for each expected token to come; once a request has spoken, only
    its end counts, if that has a target. Slack shrinks for all alike, so the order of two waiting requests never
    changes; with the same TTFT target for all it is arrival order.

    Meets targets where they can be met; at overload it spends itself on requests that are late already. Least laxity:
    Mok, 1983; earliest deadline, where only TTFT counts: Liu, Layland, 1973.
    """

    name = "deadline"
    source = "least slack (Mok, 1983), earliest deadline (Liu, Layland, 1973)"
    ranks_unknown = True

    def __init__(self, ttft: float = 10.0, e2e: float = math.inf, pace: float = 0.02) -> None:
        if not (ttft > 0 and e2e > 0 and min(ttft, e2e) < math.inf):
            raise PolicyError(f"deadline: ttft and e2e are seconds above 0, one of them finite, got {ttft} and {e2e}")
        if not (math.isfinite(pace) and pace >= 0):
            raise PolicyError(f"deadline: pace must be finite and >= 0 seconds a token, got {pace}")
        self.ttft, self.e2e, self.pace = float(ttft), float(e2e), float(pace)

    def rank(self, entry: Entry) -> Rank:
        """Its slack, in seconds: the smaller of the two."""
        request = entry.request
        ttft, e2e = request.ttft_target, request.e2e_target
        if min(ttft, e2e) == math.inf:
            ttft, e2e = self.ttft, self.e2e
        if entry.generated and e2e < math.inf:
            ttft = math.inf
        to_come = max(entry.expected - entry.generated, 1.0)
        return Rank(request.arrival + min(ttft, e2e - self.pace * to_come), -1.0)

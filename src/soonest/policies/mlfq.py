"""Levels of priority, down which a request goes with the tokens it takes: no forecast at all."""

import math

from soonest.core import Entry, Need, PolicyError, Rank
from soonest.policies.attained import Attained, fewest

MOST_LEVELS = 32


class MLFQ(Attained):
    """Serve the highest level first, in arrival order within it; level i lasts `quantum` x 2^i tokens.

    A request joins the first level that lasts longer than its prefill, which counts as `prompt` decoded tokens for each
    of its own, and skips those above. Past its level's tokens it goes down one; at the last of `levels` it stays. A
    request that waits at a higher level takes the place of a running one.

    What can be had for short answers without any forecast, at the price of preemptions. Long ones can starve: wrap it
    in `aging`. Skip-join multi-level feedback queue, Wu et al., 2023 (FastServe, arXiv:2305.05920).
    """

    name = "mlfq"
    source = "FastServe's skip-join MLFQ (arXiv:2305.05920)"
    needs = frozenset({Need.DISPLACE, Need.QUANTUM})
    ranks_unknown = True

    def __init__(self, quantum: int = 64, levels: int = 6, prompt: float = 0.2) -> None:
        if not (isinstance(quantum, int) and quantum >= 1):
            raise PolicyError(f"mlfq: quantum is a whole number of tokens, at least 1, got {quantum!r}")
        if not (isinstance(levels, int) and 1 <= levels <= MOST_LEVELS):
            raise PolicyError(f"mlfq: levels must lie in 1..{MOST_LEVELS}, got {levels!r}")
        if not (math.isfinite(prompt) and prompt >= 0):
            raise PolicyError(f"mlfq: prompt must be finite and >= 0 decoded tokens a prompt token, got {prompt}")
        self.first_quantum, self.last, self.prompt = quantum, levels - 1, prompt

    def rank(self, entry: Entry) -> Rank:
        """Its level."""
        return Rank(float(self._level(entry)[0]))

    def quantum(self, entry: Entry, draw: float) -> int | None:  # noqa: ARG002 - nothing is left to chance
        """What is left of its level; no end to the last."""
        level, end = self._level(entry)
        return None if level == self.last else end - entry.generated

    def yields(self, entry: Entry) -> bool:  # noqa: ARG002 - it is the same for all
        """Always."""
        return True

    def _level(self, entry: Entry) -> tuple[int, int]:
        """Where it stands, and the tokens at which it goes down."""
        level, end = 0, self.first_quantum
        while level < self.last and self.first_quantum << level <= self.prompt * entry.request.prompt_tokens:
            level, end = level + 1, self.first_quantum << (level + 1)
        while level < self.last and end < fewest(entry):
            level, end = level + 1, end + (self.first_quantum << (level + 1))
        return level, end

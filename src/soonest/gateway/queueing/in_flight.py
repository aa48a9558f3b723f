"""How many requests an engine should have at once, learned from what it says of itself."""

from __future__ import annotations

from typing import Final

START: Final = 8
MOST: Final = 4096
STEP: Final = 8
"""A limit that binds grows by one part in so many."""


class InFlight:
    """Keeps an engine exactly full: its own queue stays near empty, and its batch stays full.

    What waits inside an engine is out of the policy's hands. So while more than `target` wait there, the limit is what
    the engine runs and `target` more; while fewer wait and the limit is what holds requests back, it grows. A burst
    that reached the engine just before a look has not been admitted yet: only what two looks see counts as waiting.
    """

    def __init__(self, limit: int = START, target: int = 1) -> None:
        self.limit, self.target = limit, target
        self._before = (0.0, 0.0)

    def seen(self, waiting: float, running: float, in_flight: int, *, held_back: bool) -> int:
        """The limit after a look at the engine: what waits and runs in it, and what we sent it that has not ended.

        `held_back` says whether somebody waits before the gateway's own limit.
        """
        before, self._before = self._before, (waiting, running)
        if min(waiting, before[0]) > self.target:
            self.limit = max(1, min(self.limit, int(max(running, before[1])) + self.target))
        elif waiting < self.target and held_back and in_flight >= self.limit:
            self.limit = min(MOST, self.limit + max(1, self.limit // STEP))
        return self.limit

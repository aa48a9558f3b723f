"""How many requests an engine should have at once, learned from what it says of itself."""

from __future__ import annotations

from typing import Final

START: Final = 8
MOST: Final = 4096
STEP: Final = 8
"""A limit that binds grows by one part in so many."""


class InFlight:
    """Keeps an engine exactly full: its own queue stays near empty, and its batch stays full.

    What waits inside an engine is out of the policy's hands. So while more than `target` of ours wait there, the limit
    is what it runs of ours and `target` more; while fewer wait and the limit is what holds requests back, it grows. A
    burst that reached the engine just before a look has not been admitted yet: only what two looks see counts as
    waiting.

    An engine that has more than we sent serves others beside us, mostly another gateway. Of what waits and runs there
    as much is ours as of what it has. Gateways that all keep `target` requests waiting end at equal limits without
    knowing of each other, as flows do in TCP Vegas (Brakmo and Peterson, 1995).
    """

    def __init__(self, limit: int = START, target: int = 1) -> None:
        self.limit, self.target = limit, target
        self._before = (0.0, 0.0)
        self._contended = False  # whether it was full of ours and of others'

    def seen(self, waiting: float, running: float, in_flight: int, *, held_back: bool, slots: int | None = None) -> int:
        """The limit after a look at the engine: what waits and runs in it, and what we sent it that has not ended.

        `held_back` says whether somebody waits before the gateway's own limit. `slots` is how many the engine says it
        runs at once: who is alone there has them all, and nobody more.
        """
        before, self._before = self._before, (waiting, running)
        share = min(1.0, in_flight / (waiting + running)) if waiting + running else 1.0
        self._contended &= share < 1
        if slots is not None and share == 1:
            self.limit = slots
        elif share * min(waiting, before[0]) > self.target:
            self.limit = max(1, min(self.limit, round(share * max(running, before[1])) + self.target))
            self._contended = share < 1
        elif share * waiting < self.target and held_back and in_flight >= self.limit:
            step = 1 if self._contended else max(1, self.limit // STEP)  # equal steps make equal limits
            self.limit = min(MOST, self.limit + step)
        if slots is not None:
            self.limit = min(self.limit, slots)
        return self.limit

"""One request on its way through a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soonest.core.request import Request


@dataclass(slots=True, eq=False)
class Entry:
    """What a policy may look at. The host owns it; policies only read.

    `estimate` is the current estimate of output tokens, `generated` the tokens that count (kept under recompute, zero
    after a restart), `attempts` how often an attempt was lost, `admitted` the host's admission count when it last
    started (so a larger one is newer), `expected` the mean of its forecast, or of finished answers where the forecast
    is unknown. `sequence` numbers first insertions into the queue.
    """

    request: Request
    estimate: int = 1
    generated: int = 0
    attempts: int = 0
    admitted: int = 0
    expected: float = 1.0
    sequence: int = -1

    def clamp(self, estimate: float, room: int) -> None:
        """Take a new estimate, held within [1, `room`] tokens and the request's own limit."""
        self.estimate = int(max(1, min(estimate, room, self.request.max_tokens)))

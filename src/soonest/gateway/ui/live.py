"""What the gateway remembers for its live page: the requests that ended last."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from soonest.gateway.ui.recent import Recent
from soonest.gateway.ui.stream import Stream

if TYPE_CHECKING:
    from soonest.core import Record
    from soonest.gateway.gateway import Gateway
    from soonest.gateway.life import Life
    from soonest.gateway.queueing import Made
    from soonest.gateway.ui.waits import Wait

KEPT: Final = 1000


class Ended(NamedTuple):
    """A request that waited or ran and is over.

    `ended` and its record are in seconds on the gateway's clock, `wall` is its arrival in UNIX seconds.
    """

    key: str
    record: Record
    ended: float
    wall: float
    model: str
    engine: str
    status: int
    finish_reason: str
    made: Made
    hinted: bool
    choices: int
    streams: bool
    priority: int
    max_tokens: int
    overtaken: int
    failed_at: tuple[str, ...]


class Live:
    """Keeps the last `kept` requests that ended, and streams pictures of the gateway while somebody looks.

    A gateway without the page has none of it: it holds None.
    """

    def __init__(self, gateway: Gateway, kept: int = KEPT) -> None:
        self.kept: deque[Ended] = deque(maxlen=kept)
        self.count = 0
        """Requests that ended, over all."""
        self.started = time.time()
        self.waits: dict[str, Wait] = {}
        """What those who wait wait for, by their keys, as of the last picture; only of the first in line."""
        self.recent = Recent()
        self.stream = Stream(gateway, self)

    def ended(self, life: Life, record: Record, now: float) -> None:
        """A request is over, one way or another; called for each, so it does next to nothing."""
        self.count += 1
        request = life.request
        self.kept.append(
            Ended(
                life.key,
                record,
                now,
                life.wall,
                request.model,
                "" if life.backend is None else life.backend.name,
                life.status,
                life.said.finish_reason,
                life.made,
                life.hinted,
                life.choices,
                life.streams,
                request.priority,
                request.max_tokens,
                life.overtaken,
                life.failed_at,
            )
        )

"""The gateway at one moment, as the live page shows it; bounded however many wait."""

from __future__ import annotations

import time
from collections import Counter
from heapq import nlargest, nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Final

from soonest import __version__
from soonest.gateway.observe.metrics import plain
from soonest.gateway.ui import rows
from soonest.gateway.ui.crowd import crowd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.gateway.backend import Backend
    from soonest.gateway.gateway import Gateway
    from soonest.gateway.ui.crowd import Crowd, Share
    from soonest.gateway.ui.live import Live
    from soonest.gateway.ui.rows import Said

MOST_ROWS: Final = 64
"""Of those that run, and of those that are over."""
MOST_TENANTS: Final = 40


def picture(gateway: Gateway, live: Live) -> Said:
    """All that the page needs, as a JSON object."""
    now = gateway.now()
    here = crowd(gateway, now)
    live.waits = {life.key: wait for life, wait in here.line}
    live.recent.look(live)
    return {
        "at": time.time(),
        "started": live.started,
        "version": __version__,
        "policy": gateway.settings.policy,
        "mode": gateway.settings.mode,
        "draining": gateway.draining,
        "queue": _queue(gateway, live, here),
        "tenants": _tenants(here.tenants, gateway.access.weights),
        "engines": [_engine(gateway, backend) for backend in gateway.backends.values()],
        "forecasts": live.recent.forecasts(),
        "latency": live.recent.latency(gateway.savings),
        "requests": _listed(gateway, live, here, now),
    }


def _listed(gateway: Gateway, live: Live, here: Crowd, now: float) -> list[Said]:
    """The first in line, those that run longest, and the newest of those that are over."""
    number = {name: i for i, name in enumerate(gateway.backends)}
    known = [(life, life.ticket) for life in here.running if life.ticket is not None]
    oldest = nsmallest(MOST_ROWS, known, key=lambda one: one[1].started)
    at = [(life, ticket.place) for life, ticket in oldest]
    return [
        *(rows.waiting(life, wait, now) for life, wait in here.line),
        *(rows.running(life, now, number[place.name]) for life, place in at if place is not None),
        *(rows.over(ended, number.get(ended.engine)) for ended in islice(reversed(live.kept), MOST_ROWS)),
    ]


def _queue(gateway: Gateway, live: Live, here: Crowd) -> Said:
    """The whole line in numbers, and what keeps its first."""
    series, queue = gateway.metrics.all(), gateway.dispatcher.queue
    return {
        "waiting": here.waiting,
        "running": len(here.running),
        "overdue": here.overdue,
        "overdue_after": queue.overdue_after,
        "overdue_every": queue.overdue_every,
        "drain_seconds": round(gateway.dispatcher.drain_seconds, 1),
        "why": here.line[0][1].why.value if here.line else None,
        "ended": live.count,
        "retries": sum(one.retries for one in series),
        "rejected": dict(sum((one.rejections.counts for one in series), Counter[str]())),
    }


def _tenants(shares: Mapping[str, Share], weights: Mapping[str, float]) -> Said:
    """The busiest by name, and how many the others are."""
    busy = nlargest(MOST_TENANTS, sorted(shares.items()), key=lambda one: (one[1].waiting, one[1].running))
    return {
        "rows": [
            {
                "name": name,
                "waiting": share.waiting,
                "overdue": share.overdue,
                "running": share.running,
                "tokens": round(share.tokens),
                "weight": weights.get(name, 1.0),
            }
            for name, share in busy
        ],
        "more": len(shares) - len(busy),
    }


def _engine(gateway: Gateway, backend: Backend) -> Said:
    place, last = backend.place, backend.engine.last
    restarts = None if gateway.restarts is None else gateway.restarts().get(backend.name)
    return {
        "name": plain(backend.name),
        "kind": backend.engine.dialect.name,
        "up": place.up,
        "in_flight": place.in_flight,
        "limit": place.limit,
        "expected_tokens": round(place.expected_tokens),
        "waiting": None if last is None else last.waiting,
        "running": None if last is None else last.running,
        "usage": None if last is None else last.usage,
        "evictions": None if last is None else last.evictions,
        "restarts": restarts,
    }

"""The gateway at one moment, as the live page shows it; bounded however many wait."""

from __future__ import annotations

import time
from collections import Counter
from heapq import nlargest, nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest import __version__
from soonest.gateway.observe.metrics import plain
from soonest.gateway.observe.series import inside
from soonest.gateway.ui import rows
from soonest.gateway.ui.rows import Said, finished
from soonest.gateway.ui.waits import waits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.gateway.backend import Backend
    from soonest.gateway.gateway import Gateway
    from soonest.gateway.life import Life
    from soonest.gateway.ui.live import Ended, Live

MOST_ROWS: Final = 64
"""Of those that wait, of those that run, and of those that are over."""
MOST_TENANTS: Final = 40
MOST_PAIRS: Final = 200


def picture(gateway: Gateway, live: Live) -> Said:
    """All that the page needs, as a JSON object."""
    now = gateway.now()
    held = [life for life in gateway.lives if life.ticket is not None]
    waiting = [life for life in held if life.ticket is not None and life.ticket.place is None]
    running = [life for life in held if life.ticket is not None and life.ticket.place is not None]
    kept = list(live.kept)
    listed = _listed(gateway, live, waiting, running, kept, now)
    return {
        "at": time.time(),
        "started": live.started,
        "version": __version__,
        "policy": gateway.settings.policy,
        "mode": gateway.settings.mode,
        "draining": gateway.draining,
        "queue": _queue(gateway, live, waiting, running, now),
        "tenants": _tenants(gateway, waiting, running, now),
        "engines": [_engine(gateway, backend) for backend in gateway.backends.values()],
        "forecasts": _forecasts(kept),
        "latency": _latency(gateway, kept),
        "requests": listed,
    }


def _listed(
    gateway: Gateway, live: Live, waiting: list[Life], running: list[Life], kept: Sequence[Ended], now: float
) -> list[Said]:
    """The first in line, those that run longest, and the newest of those that are over."""
    whose = {life.ticket: life for life in waiting}
    line = [(whose[ticket], wait) for ticket, wait in waits(gateway.dispatcher, now, MOST_ROWS) if ticket in whose]
    live.waits = {life.key: wait for life, wait in line}
    number = {name: i for i, name in enumerate(gateway.backends)}
    oldest = nsmallest(MOST_ROWS, running, key=lambda life: life.arrival)
    at = [(life, life.ticket.place) for life in oldest if life.ticket is not None]
    return [
        *(rows.waiting(life, wait, now) for life, wait in line),
        *(rows.running(life, now, number[place.name]) for life, place in at if place is not None),
        *(rows.over(ended, number.get(ended.engine)) for ended in islice(reversed(kept), MOST_ROWS)),
    ]


def _queue(gateway: Gateway, live: Live, waiting: list[Life], running: list[Life], now: float) -> Said:
    """The whole line in numbers; what keeps its first is among its reasons."""
    series = gateway.metrics.all()
    first = next(iter(live.waits.values()), None)
    return {
        "waiting": len(waiting),
        "running": len(running),
        "overdue": sum(_overdue(gateway, life, now) for life in waiting),
        "overdue_after": gateway.dispatcher.queue.overdue_after,
        "overdue_every": gateway.dispatcher.queue.overdue_every,
        "drain_seconds": round(gateway.dispatcher.drain_seconds, 1),
        "why": None if first is None else first.why.value,
        "ended": live.count,
        "retries": sum(one.retries for one in series),
        "rejected": dict(sum((one.rejections.counts for one in series), Counter[str]())),
    }


def _overdue(gateway: Gateway, life: Life, now: float) -> bool:
    after = gateway.dispatcher.queue.overdue_after
    return after is not None and now - life.arrival >= after


def _tenants(gateway: Gateway, waiting: list[Life], running: list[Life], now: float) -> Said:
    """The busiest by name, and the rest in one."""
    wait, runs = (Counter(life.request.tenant for life in lives) for lives in (waiting, running))
    overdue = Counter(life.request.tenant for life in waiting if _overdue(gateway, life, now))
    tokens: Counter[str] = Counter()
    for life in waiting:
        if life.ticket is not None:
            tokens[life.request.tenant] += round(life.ticket.entry.expected * life.choices)
    busy = nlargest(MOST_TENANTS, sorted(wait | runs), key=lambda name: (wait[name], runs[name]))
    weights = gateway.access.weights
    return {
        "rows": [
            {
                "name": name,
                "waiting": wait[name],
                "overdue": overdue[name],
                "running": runs[name],
                "tokens": tokens[name],
                "weight": weights.get(name, 1.0),
            }
            for name in busy
        ],
        "more": len(wait | runs) - len(busy),
        "waiting_there": wait.total() - sum(wait[name] for name in busy),
    }


def _engine(gateway: Gateway, backend: Backend) -> Said:
    place, last = backend.place, backend.engine.last
    restarts = None if gateway.restarts is None else gateway.restarts().get(backend.name)
    return {
        "name": plain(backend.name),
        "kind": backend.engine.dialect.name,
        "up": place.up,
        "breaker_open": not backend.engine.healthy,
        "in_flight": place.in_flight,
        "limit": place.limit,
        "expected_tokens": round(place.expected_tokens),
        "waiting": None if last is None else last.waiting,
        "running": None if last is None else last.running,
        "usage": None if last is None else last.usage,
        "evictions": None if last is None else last.evictions,
        "restarts": restarts,
    }


def _forecasts(kept: Sequence[Ended]) -> Said:
    """What was expected and what came, of single answers as in the metrics; `cut` at their limit they say less."""
    whole = [ended for ended in kept if finished(ended) and ended.choices == 1]
    told = [ended for ended in whole if ended.made.forecast.known]
    promised = [ended for ended in told if ended.made.forecast.coverage is not None]
    held = sum(inside(e.made.forecast, e.record.output_tokens, cut=_cut(e)) for e in promised)
    return {
        "answers": len(whole),
        "known": len(told),
        "promised": promised[-1].made.forecast.coverage if promised else None,
        "judged": len(promised),
        "coverage": held / len(promised) if promised else None,
        "pairs": [
            [round(e.made.forecast.expected, 1), e.record.output_tokens, int(_cut(e))] for e in told[-MOST_PAIRS:]
        ],
    }


def _cut(ended: Ended) -> bool:
    return ended.finish_reason == "length"


def _latency(gateway: Gateway, kept: Sequence[Ended]) -> Said:
    """From arrival to the last token, of the last answers; and of a replay, what arrival order would have given."""
    taken = np.array([ended.record.finished - ended.record.arrival for ended in kept if finished(ended)])
    savings = gateway.savings
    saved = None if savings is None else savings.saved
    return {
        "recent": _spread(taken) if len(taken) else None,
        "answers": len(taken),
        "replay": None
        if saved is None
        else {
            "own": saved.own,
            "fcfs": saved.fcfs,
            "requests": saved.requests,
            "difference": saved.difference,
        },
        "reason": "there is no journal to replay" if savings is None else savings.reason,
    }


def _spread(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Said:
    median, p90, p99 = np.percentile(values, (50, 90, 99)).tolist()
    return {"mean": float(values.mean()), "median": median, "p90": p90, "p99": p99, "max": float(values.max())}

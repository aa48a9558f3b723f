"""Everybody who waits or runs, counted in one pass: thousands may wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from soonest.gateway.ui.waits import waits

if TYPE_CHECKING:
    from soonest.gateway.gateway import Gateway
    from soonest.gateway.life import Life
    from soonest.gateway.ui.waits import Wait

MOST_IN_LINE: Final = 20
"""Of those that wait, as many are shown: to find out who comes next is what costs most."""


@dataclass(slots=True)
class Share:
    """What one tenant has here; `tokens` are those that its waiting are expected to take."""

    waiting: int = 0
    overdue: int = 0
    running: int = 0
    tokens: float = 0.0


@dataclass(slots=True)
class Crowd:
    """The first in line with what they wait for, all that run, and each tenant's share."""

    line: list[tuple[Life, Wait]] = field(default_factory=list)
    running: list[Life] = field(default_factory=list)
    tenants: dict[str, Share] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """All that wait."""
        return sum(share.waiting for share in self.tenants.values())

    @property
    def overdue(self) -> int:
        """Of those, all that have waited for too long."""
        return sum(share.overdue for share in self.tenants.values())


def crowd(gateway: Gateway, now: float) -> Crowd:
    """Count, at this moment."""
    dispatcher, found = gateway.dispatcher, Crowd()
    after, tenants, running = dispatcher.queue.overdue_after, found.tenants, found.running
    due = -1.0 if after is None else now - after
    first = dict(waits(dispatcher, now, MOST_IN_LINE))
    for life in gateway.lives:
        ticket = life.ticket
        if ticket is None:
            continue
        share = tenants.get(life.request.tenant)
        if share is None:
            share = tenants[life.request.tenant] = Share()
        if ticket.place is not None:
            share.running += 1
            running.append(life)
            continue
        share.waiting += 1
        share.overdue += life.arrival <= due
        share.tokens += ticket.entry.expected * ticket.choices
        if ticket in first:
            found.line.append((life, first[ticket]))
    found.line.sort(key=lambda one: one[1].place)
    return found

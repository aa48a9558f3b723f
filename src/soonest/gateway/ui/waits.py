"""What a waiting request waits for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.gateway.queueing import Dispatcher, Ticket


class Why(StrEnum):
    """What keeps the first in line, or why somebody else is first."""

    ENGINE = "engine"
    """No engine answers."""
    ELSEWHERE = "elsewhere"
    """Only engines that have failed it have a place."""
    PLACE = "place"
    """Every engine has as many in flight as it may."""
    PLACES = "places"
    """It asks for several answers, and no engine has that many places."""
    MEMORY = "memory"
    """Its answer would not fit into an engine's memory beside those that run."""
    TURN = "turn"
    """Nothing: it starts now."""
    PRIORITY = "priority"
    """The first in line is of a class that goes before."""
    LANE = "lane"
    """The first in line is overdue, and it is that lane's turn."""
    SHARE = "share"
    """Its tenant has had more than the first one's."""
    RANK = "rank"
    """The first in line ranks better."""


class Wait(NamedTuple):
    """Its place in line, from 1 on, whether it is in the overdue lane too, and what for."""

    place: int
    overdue: bool
    why: Why


def waits(dispatcher: Dispatcher, now: float, most: int) -> list[tuple[Ticket, Wait]]:
    """The first in line, at most so many, in the order in which they would start."""
    line = dispatcher.upcoming(now, most)
    if not line:
        return []
    after = dispatcher.queue.overdue_after
    overdue = [after is not None and now - ticket.entry.request.arrival >= after for ticket in line]
    whys = [obstacle(dispatcher, line[0]), *behind(dispatcher, line, now, first_overdue=overdue[0])]
    known = zip(line, overdue, whys, strict=True)
    return [(ticket, Wait(place, late, why)) for place, (ticket, late, why) in enumerate(known, start=1)]


def obstacle(dispatcher: Dispatcher, first: Ticket) -> Why:
    """What keeps the first in line from starting."""
    up = [place for place in dispatcher.places if place.up]
    if not up:
        return Why.ENGINE
    able = [place for place in up if place.name not in first.failed] or up
    if not any(place.has_room(1) for place in able):
        return Why.ELSEWHERE if any(place.has_room(1) for place in up) else Why.PLACE
    if not any(place.has_room(first.choices) for place in able):
        return Why.PLACES
    return Why.MEMORY if any(place.rules is not None for place in able) else Why.TURN


def behind(dispatcher: Dispatcher, line: Sequence[Ticket], now: float, *, first_overdue: bool) -> list[Why]:
    """Why the first in line is before each of the others."""
    first = line[0].entry.request

    def rank(ticket: Ticket) -> float:
        base, slope = dispatcher.rank(ticket)
        return base + slope * now

    best = rank(line[0])
    found = []
    for ticket in line[1:]:
        request = ticket.entry.request
        if request.priority != first.priority:
            found.append(Why.PRIORITY)
        elif rank(ticket) >= best:
            found.append(Why.RANK)
        else:
            found.append(Why.LANE if first_overdue else Why.SHARE)
    return found

"""An engine as a gateway sees it: its place in the queueing, the limit on it, and what it is told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from soonest.core import Rules
from soonest.gateway.queueing import InFlight, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.gateway.life import Life
    from soonest.gateway.upstream import Engine, EngineState

CLASS: Final = 1 << 40
"""Steps of an engine's priority field between two priority classes."""
MOST_CLASSES: Final = 1 << 20
"""In either direction: an engine's field has 64 bits."""
STEPS_A_UNIT: Final = 1000
"""Ranks are numbers with fractions, an engine's priorities are whole."""
log = logging.getLogger("soonest.gateway")


class Backend:
    """An engine with its place in the dispatcher.

    `limit` is how many may be in flight; with `learns` it is found out, else `None` is as many as its kind takes. With
    `reserves` the size of its cache counts.
    """

    def __init__(self, engine: Engine, limit: int | None, *, learns: bool, reserves: bool) -> None:
        self.engine, self.name = engine, engine.root  # settings refuse URLs with a password
        self.reserves = reserves
        self.told = limit is not None
        """Whether the limit is the operator's, which nothing changes."""
        self.in_flight = InFlight() if learns else None
        self.noted: int | None = None
        """The limit that the journal knows of."""
        self.place = Place(engine.root, limit if self.in_flight is None else self.in_flight.limit)

    async def look(self, *, held_back: bool) -> None:
        """Ask the engine how it is, and adjust to it what is sent there; `held_back`: somebody waits for a place."""
        state = await self.engine.look()
        self.judge()
        most = self.engine.dialect.at_once
        if not self.told and (most is not None or self.in_flight is None):
            self.place.limit = most
        if state is None:  # old news are no reason to change anything
            return
        if self.reserves and state.blocks and state.block_size:
            self.place.rules = Rules.vllm(blocks=state.blocks, block_size=state.block_size)
        if self.in_flight is not None:
            self._adjust(self.in_flight, state, held_back=held_back)

    def judge(self) -> None:
        """Send requests there, or none, as its breaker says."""
        healthy = self.engine.healthy
        if healthy != self.place.up:
            self.place.up = healthy
            log.warning("engine %s %s", self.name, "is back" if healthy else "is taken out: it does not answer")

    @property
    def noteworthy(self) -> bool:
        """Whether the limit has moved far from what the journal knows."""
        limit, noted = self.place.limit, self.noted
        return limit is not None and noted is not None and not 0.8 <= limit / noted <= 1.25

    def additions(self, life: Life) -> Mapping[str | tuple[str, ...], object]:
        """What is added to a body for this engine: the forecast, and the priority that it is to see."""
        dialect, forecast, settings = self.engine.dialect, life.made.forecast, life.gateway.settings
        added: dict[str | tuple[str, ...], object] = {}
        if settings.hints and dialect.hint and forecast.known and not life.hinted:
            expected = max(forecast.expected, forecast.low)  # a long tail may lie beyond the interval
            numbers = [forecast.low, round(min(expected, forecast.high), 3), forecast.high]
            added[dialect.hint, "soonest_forecast"] = numbers
        if settings.mode == "priority" and life.ticket is not None:
            rank = round(STEPS_A_UNIT * life.gateway.dispatcher.rank(life.ticket).base)
            first = max(-MOST_CLASSES, min(life.request.priority, MOST_CLASSES))
            rank = max(-CLASS // 2, min(rank, CLASS // 2)) + CLASS * first
            added["priority"] = (dialect.priority_sign or 1) * rank
        elif (asked := life.fields.get("priority")) is not None and life.caller is not None and life.caller.bound:
            allowed = (dialect.priority_sign or 1) * life.request.priority
            if asked != allowed:
                added["priority"] = allowed
        return added

    def _adjust(self, in_flight: InFlight, state: EngineState, *, held_back: bool) -> None:
        """Learn the limit: from the engine's own slots if it tells them, and from its queue."""
        place, slots = self.place, state.slots or None
        if state.waiting is not None and state.running is not None:
            held = place.in_flight
            place.limit = in_flight.seen(state.waiting, state.running, held, held_back=held_back, slots=slots)
        elif slots is not None:
            place.limit = slots

"""What the journal is told of a run, so that a replay can repeat it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest import __version__
from soonest.data.journal import noted_weights

if TYPE_CHECKING:
    from soonest.gateway.gateway import Gateway
    from soonest.gateway.journal import Journal


def note(journal: Journal, gateway: Gateway) -> None:
    """Note the order, and what engines were found to bear; a later note replaces an earlier one."""
    settings = gateway.settings
    facts: dict[str, object] = {
        "version": __version__,
        "policy": settings.policy,
        "mode": settings.mode,
        "overdue_every": settings.overdue_every,
        "tenant_weights": noted_weights(gateway.access.weights),
    }
    if settings.overdue_after is not None:
        facts["overdue_after"] = settings.overdue_after
    for backend in gateway.backends.values():
        state = backend.engine.last
        if state is not None:
            told = {"engine_slots": state.slots, "blocks": state.blocks, "block_size": state.block_size}
            facts |= {name: number for name, number in told.items() if number}
        backend.noted = backend.place.limit
        if backend.noted is not None:
            facts["in_flight"] = backend.noted
    for name, value in facts.items():
        journal.note(name, value)

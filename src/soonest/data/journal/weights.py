"""Tenants' weights as a note of a run: every name can be read back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from soonest.core import JournalError

if TYPE_CHECKING:
    from collections.abc import Mapping


def noted_weights(weights: Mapping[str, float]) -> str:
    """`alice=2.0,bob=1.0`, with what else may stand in a name percent-encoded."""
    return ",".join(f"{quote(name, safe=' ')}={weight!r}" for name, weight in weights.items())


def weights_in(note: str) -> dict[str, float]:
    """The weights that `noted_weights` wrote.

    Raises:
        JournalError: it did not write this.
    """
    pairs = (part.partition("=") for part in note.split(",") if part)
    try:
        return {unquote(name): float(weight) for name, _, weight in pairs}
    except ValueError:
        raise JournalError(f"tenant_weights is noted as {note!r}: give --tenant-weights") from None

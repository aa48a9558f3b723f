"""Inside Ray Serve: its request router asks our predictor, and sends each request where least is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soonest.engines.ray.ledger import Ledger

if TYPE_CHECKING:
    from soonest.engines.ray.router import Router

__all__ = ["Ledger", "Router"]


def __getattr__(name: str) -> Any:
    """The router, which alone needs Ray."""
    if name != "Router":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from soonest.engines.ray.router import Router  # noqa: PLC0415

    return Router

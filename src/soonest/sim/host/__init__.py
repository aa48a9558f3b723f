"""The event loop as objects: it asks any policy through its methods."""

from soonest.sim.host.loop import LATEST, Host

__all__ = ["LATEST", "Host"]

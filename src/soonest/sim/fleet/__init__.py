"""Engines that each have a queue of their own, behind a router."""

from soonest.sim.fleet.fleet import Fleet, check_router
from soonest.sim.fleet.routers import ROUTERS

__all__ = ["ROUTERS", "Fleet", "check_router"]

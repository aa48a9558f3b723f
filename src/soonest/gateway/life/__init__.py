"""The life of one scheduled request."""

from soonest.gateway.life.life import Life

__all__ = ["Life"]

"""`soonest reproduce`."""

from soonest.cli.reproduce.command import reproduce

__all__ = ["reproduce"]

"""`soonest serve` and `soonest engine`."""

from soonest.cli.servers.engine import engine
from soonest.cli.servers.serve import serve

__all__ = ["engine", "serve"]

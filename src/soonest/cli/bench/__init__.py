"""`soonest bench`."""

from soonest.cli.bench.command import bench

__all__ = ["bench"]

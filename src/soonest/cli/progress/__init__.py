"""How far long work is, where no bar is seen."""

from soonest.cli.progress.lines import Lines

__all__ = ["Lines"]

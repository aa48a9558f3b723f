"""What the gateway says about itself: metrics, log lines, traces. Never a prompt, never a key."""

from soonest.gateway.observe.catalogue import METRICS, Kind, Meaning
from soonest.gateway.observe.metrics import Metrics
from soonest.gateway.observe.series import Series

__all__ = ["METRICS", "Kind", "Meaning", "Metrics", "Series"]

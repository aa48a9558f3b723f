"""What the gateway says about itself: metrics, log lines, traces. Never a prompt, never a key."""

from soonest.gateway.observe.catalogue import METRICS, Kind, Meaning
from soonest.gateway.observe.lines import Finished, JsonLines, PlainLines, RequestLog, write_lines
from soonest.gateway.observe.metrics import Metrics
from soonest.gateway.observe.series import Series
from soonest.gateway.observe.traces import Trace, Traces

__all__ = [
    "METRICS",
    "Finished",
    "JsonLines",
    "Kind",
    "Meaning",
    "Metrics",
    "PlainLines",
    "RequestLog",
    "Series",
    "Trace",
    "Traces",
    "write_lines",
]

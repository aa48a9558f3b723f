"""Traces: what arrived when, read from public formats or made by a process."""

from soonest.core.prompt import approximate_tokens
from soonest.data.arrivals import drawn, fixed, gamma, lengths_on, poisson, repeat, replayed
from soonest.data.catalogue import CATALOGUE, PublicTrace, fetch, sample
from soonest.data.log import write_log
from soonest.data.reading import FORMATS, read_trace
from soonest.data.trace import Trace

__all__ = [
    "CATALOGUE",
    "FORMATS",
    "PublicTrace",
    "Trace",
    "approximate_tokens",
    "drawn",
    "fetch",
    "fixed",
    "gamma",
    "lengths_on",
    "poisson",
    "read_trace",
    "repeat",
    "replayed",
    "sample",
    "write_log",
]

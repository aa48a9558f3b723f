"""Forecast how long each LLM answer will be, and let the short ones through first."""

from soonest.core import Entry, Forecast, Policy, Queue, Rank, Record, Request, Rules, SoonestError
from soonest.policies import policy

__version__ = "0.1.0"

__all__ = [
    "Entry",
    "Forecast",
    "Policy",
    "Queue",
    "Rank",
    "Record",
    "Request",
    "Rules",
    "SoonestError",
    "__version__",
    "policy",
]

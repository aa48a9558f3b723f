"""Load against live endpoints, measured as `soonest sim` measures: needs the extra `gateway`."""

from soonest.bench.answer import Answer
from soonest.bench.call import Call, Endpoint
from soonest.bench.comparison import Comparison, Contender, Run, Watch
from soonest.bench.load import Load
from soonest.bench.plan import Plan, calls_like, calls_of
from soonest.bench.ran import Alone, Ran, sustained

__all__ = [
    "Alone",
    "Answer",
    "Call",
    "Comparison",
    "Contender",
    "Endpoint",
    "Load",
    "Plan",
    "Ran",
    "Run",
    "Watch",
    "calls_like",
    "calls_of",
    "sustained",
]

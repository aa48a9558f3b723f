"""What is true of any host: pure, with no clock, no I/O and no randomness."""

from soonest.core.entry import Entry
from soonest.core.errors import (
    CapacityError,
    ForecastError,
    JournalError,
    PolicyError,
    PredictorError,
    QueueError,
    RequestError,
    RulesError,
    SimulationError,
    SoonestError,
    StepTimeError,
    TraceError,
)
from soonest.core.forecast import Forecast
from soonest.core.memory import Load
from soonest.core.policy import Numbers, Plain, Policy, Rank, affine
from soonest.core.prompt import Message, Prompt
from soonest.core.queue import Queue
from soonest.core.record import OUTCOMES, Outcome, Record, Records
from soonest.core.request import Request
from soonest.core.rules import Batching, Need, Rules

__all__ = [
    "OUTCOMES",
    "Batching",
    "CapacityError",
    "Entry",
    "Forecast",
    "ForecastError",
    "JournalError",
    "Load",
    "Message",
    "Need",
    "Numbers",
    "Outcome",
    "Plain",
    "Policy",
    "PolicyError",
    "PredictorError",
    "Prompt",
    "Queue",
    "QueueError",
    "Rank",
    "Record",
    "Records",
    "Request",
    "RequestError",
    "Rules",
    "RulesError",
    "SimulationError",
    "SoonestError",
    "StepTimeError",
    "TraceError",
    "affine",
]

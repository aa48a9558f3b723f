"""Everything `soonest` raises on purpose.

    SoonestError
    +-- ForecastError      a forecast that is no distribution
    +-- RequestError       a request with impossible facts
    +-- RulesError         engine rules that contradict each other
    +-- PolicyError        an unknown policy, a bad argument, or one this host cannot run
    +-- QueueError         the waiting room was asked for something it does not hold
    +-- CapacityError      a request that can never fit memory
    +-- StepTimeError      a step-time model that is no time
    +-- TraceError         a malformed trace: file, line and column
    +-- SimulationError    a simulation that cannot go on
    +-- PredictorError     an unknown predictor, a bad argument, or a folder that holds none
    +-- JournalError       a journal that cannot be opened, read, or learned from

All of them are also `ValueError`, because each means that an input was wrong.
"""

import re

PASSWORDS = (re.compile(r"(://[^/:\s]*):\S*@"), r"\1:***@"), (re.compile(r"([?&]\w*password=)[^&\s]*"), r"\1***")
"""Where a URL holds one: before its host, whatever is in it, or among what is asked of a PostgreSQL server."""


def without_password(text: str) -> str:
    """A text with the passwords of its URLs left out, for messages and for what is published."""
    for pattern, instead in PASSWORDS:
        text = pattern.sub(instead, text)
    return text


class SoonestError(ValueError):
    """The root of the tree above."""


class ForecastError(SoonestError):
    """A forecast that is no distribution."""


class RequestError(SoonestError):
    """A request with impossible facts."""


class RulesError(SoonestError):
    """Engine rules that contradict each other."""


class PolicyError(SoonestError):
    """An unknown policy, a bad argument, or a policy that this host cannot run."""


class QueueError(SoonestError):
    """The waiting room was asked for something it does not hold."""


class CapacityError(SoonestError):
    """A request that can never fit memory."""


class StepTimeError(SoonestError):
    """A step-time model that is no time."""


class TraceError(SoonestError):
    """A malformed trace: the message names file, line and column."""


class SimulationError(SoonestError):
    """A simulation that cannot go on."""


class PredictorError(SoonestError):
    """An unknown predictor, a bad argument, data it cannot learn from, or a folder that holds none."""


class JournalError(SoonestError):
    """A journal that cannot be opened or read, or that lacks what is asked of it."""

"""Transformers' continuous batching as an engine whose scheduler is our queue."""

from soonest.engines.embedded.engine import Engine
from soonest.engines.embedded.errors import EngineError, TooLongError
from soonest.engines.embedded.jobs import Job, Settings
from soonest.engines.embedded.model import Model, load
from soonest.engines.embedded.room import Room
from soonest.engines.embedded.sampling import Sampling
from soonest.engines.embedded.text import Text

__all__ = ["Engine", "EngineError", "Job", "Model", "Room", "Sampling", "Settings", "Text", "TooLongError", "load"]

"""The proxy model: a small language model reads the prompt and says how long the answer will be."""

from soonest.predict.encoder.encoder import Encoder
from soonest.predict.encoder.tasks import TASKS

__all__ = ["TASKS", "Encoder"]

"""The waiting room: the only queue in the project."""

from soonest.core.queue.waiting import MAX_IDLE_CLASSES, PRIOR_TOKENS, Queue

__all__ = ["MAX_IDLE_CLASSES", "PRIOR_TOKENS", "Queue"]

"""What the embedded engine raises on purpose."""

from soonest.core import SoonestError


class EngineError(SoonestError):
    """A model that cannot be loaded, settings that contradict each other, or an engine that has died."""


class TooLongError(SoonestError):
    """A prompt that leaves no room for an answer, or an answer longer than memory."""

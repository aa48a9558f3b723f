"""What is learned one answer at a time, in bounded memory."""

from soonest.predict.stream.awaited import Awaited
from soonest.predict.stream.calibrator import Calibrator, Row
from soonest.predict.stream.lengths import Lengths

__all__ = ["Awaited", "Calibrator", "Lengths", "Row"]

"""What goes over the wire: bodies read and added to, events cut, errors worded; bytes are never re-encoded."""

from soonest.gateway.wire.answer import Usage, read_answer
from soonest.gateway.wire.body import BadBody, read, splice
from soonest.gateway.wire.errors import Failure, failure, in_stream
from soonest.gateway.wire.events import Events

__all__ = ["BadBody", "Events", "Failure", "Usage", "failure", "in_stream", "read", "read_answer", "splice"]

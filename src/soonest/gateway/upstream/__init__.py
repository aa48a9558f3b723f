"""Engines: how they are asked, watched, and left alone when they fail."""

from soonest.gateway.upstream.breaker import Breaker
from soonest.gateway.upstream.client import BROKEN, Client, EngineError, EngineTimeoutError
from soonest.gateway.upstream.dialects import DIALECTS, Dialect
from soonest.gateway.upstream.engine import Engine
from soonest.gateway.upstream.headers import BadHeader, request_headers, response_headers
from soonest.gateway.upstream.metrics import EngineState

__all__ = [
    "BROKEN",
    "DIALECTS",
    "BadHeader",
    "Breaker",
    "Client",
    "Dialect",
    "Engine",
    "EngineError",
    "EngineState",
    "EngineTimeoutError",
    "request_headers",
    "response_headers",
]

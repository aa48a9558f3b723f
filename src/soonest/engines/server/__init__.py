"""The OpenAI-compatible HTTP server of `soonest engine`."""

from soonest.engines.server.app import Api
from soonest.engines.server.serve import serve

__all__ = ["Api", "serve"]

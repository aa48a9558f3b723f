"""A live page of the gateway: who waits for what, who runs where, and how good forecasts were. Never a prompt."""

from soonest.gateway.ui.live import Ended, Live

__all__ = ["Ended", "Live"]

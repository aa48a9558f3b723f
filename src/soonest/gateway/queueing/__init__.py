"""Who waits, who goes next and where, and what is believed of them."""

from soonest.gateway.queueing.counting import PromptTokens
from soonest.gateway.queueing.dispatcher import Dispatcher, Place, QueueFull, Ticket
from soonest.gateway.queueing.in_flight import InFlight
from soonest.gateway.queueing.turns import Turns
from soonest.predict import Forecasting, Made

__all__ = [
    "Dispatcher",
    "Forecasting",
    "InFlight",
    "Made",
    "Place",
    "PromptTokens",
    "QueueFull",
    "Ticket",
    "Turns",
]

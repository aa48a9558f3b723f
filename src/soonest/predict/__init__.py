"""From a prompt to a forecast of its answer's length."""

from soonest.predict.conformal import Conformal
from soonest.predict.constant import Constant
from soonest.predict.encoder import Encoder
from soonest.predict.ensemble import Ensemble
from soonest.predict.folder import Card
from soonest.predict.forecasting import Forecasting, Made
from soonest.predict.history import History
from soonest.predict.online import Online
from soonest.predict.predictor import Predictor
from soonest.predict.registry import BUILT_IN, known_predictors, predictor
from soonest.predict.text import Text

__all__ = [
    "BUILT_IN",
    "Card",
    "Conformal",
    "Constant",
    "Encoder",
    "Ensemble",
    "Forecasting",
    "History",
    "Made",
    "Online",
    "Predictor",
    "Text",
    "known_predictors",
    "predictor",
]

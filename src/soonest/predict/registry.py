"""From words such as `online(conformal(text))` to a predictor."""

from __future__ import annotations

from typing import Final

from soonest.core import PredictorError
from soonest.predict.conformal import Conformal
from soonest.predict.constant import Constant
from soonest.predict.encoder import Encoder
from soonest.predict.ensemble import Ensemble
from soonest.predict.history import History
from soonest.predict.online import Online
from soonest.predict.predictor import Predictor
from soonest.predict.text import Text
from soonest.words import Registry

GROUP: Final = "soonest.predictors"
BUILT_IN: Final[dict[str, type[Predictor]]] = {
    kind.name: kind for kind in (Constant, History, Text, Encoder, Conformal, Online, Ensemble)
}
PREDICTORS: Final = Registry(Predictor, BUILT_IN, GROUP, "predictor", "online(conformal(text))", PredictorError)


def known_predictors() -> dict[str, type[Predictor]]:
    """Every predictor by name: the built-in ones, then those that other packages registered."""
    return PREDICTORS.known()


def predictor(words: str) -> Predictor:
    """Make the predictor that these words name: a name, or a name with arguments in parentheses.

    Arguments are predictors, words, numbers, or `key=value`; for example `constant`, `conformal(text, coverage=0.8)`.

    Raises:
        PredictorError: no such predictor, or arguments that it does not take.
    """
    return PREDICTORS.make(words)

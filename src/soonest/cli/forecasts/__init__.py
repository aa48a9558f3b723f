"""The commands that make forecasts: `fit`, `eval` and `predict`."""

from soonest.cli.forecasts.evaluate import evaluate
from soonest.cli.forecasts.fit import fit
from soonest.cli.forecasts.predict import predict

__all__ = ["evaluate", "fit", "predict"]

"""How good forecasts are: one measure a function, each with its formula; tables and plots made of them."""

from soonest.report.forecasts.assess import Assessment, assess
from soonest.report.forecasts.catalogue import FORECAST_MEASURES
from soonest.report.forecasts.plot import plot_calibration
from soonest.report.forecasts.points import Training
from soonest.report.forecasts.speed import speed
from soonest.report.forecasts.table import assessment_markdown, assessment_table

__all__ = [
    "FORECAST_MEASURES",
    "Assessment",
    "Training",
    "assess",
    "assessment_markdown",
    "assessment_table",
    "plot_calibration",
    "speed",
]

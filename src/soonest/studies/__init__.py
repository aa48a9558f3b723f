"""Simulations put together: comparisons now, reproductions and the map later."""

from soonest.studies.arm import Arm, arms
from soonest.studies.comparison import Comparison, Run
from soonest.studies.scenario import ARRIVALS, Scenario

__all__ = ["ARRIVALS", "Arm", "Comparison", "Run", "Scenario", "arms"]

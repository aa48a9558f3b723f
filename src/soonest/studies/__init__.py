"""Simulations put together: comparisons, replays of a journal, papers run again, and the map of when order helps."""

from soonest.studies.arm import Arm, arms
from soonest.studies.comparison import Comparison, Run
from soonest.studies.scenario import ARRIVALS, Scenario

__all__ = ["ARRIVALS", "Arm", "Comparison", "Run", "Scenario", "arms"]

"""The fast deterministic host: it simulates engines under any policy, on any workload."""

from soonest.sim.forecasts import SOURCES, Beliefs, beliefs
from soonest.sim.live import Forecaster
from soonest.sim.options import Options
from soonest.sim.result import NEVER, Result
from soonest.sim.simulate import saturation, service_times, simulate
from soonest.sim.steptime import PRESETS, StepTime
from soonest.sim.workload import Job, Workload

__all__ = [
    "NEVER",
    "PRESETS",
    "SOURCES",
    "Beliefs",
    "Forecaster",
    "Job",
    "Options",
    "Result",
    "StepTime",
    "Workload",
    "beliefs",
    "saturation",
    "service_times",
    "simulate",
]

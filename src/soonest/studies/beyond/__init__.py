"""Beyond the papers: a better A_min, and below hindsight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.studies.beyond.below_hindsight import below_hindsight
from soonest.studies.beyond.better_a_min import better_a_min
from soonest.studies.beyond.engine import on_an_engine
from soonest.studies.reproduction import Stopwatch

if TYPE_CHECKING:
    from soonest.report.study import Study
    from soonest.studies.reproduction import Progress, Settings


def reproduce(settings: Settings, progress: Progress) -> Study:
    """What `least_area` and pacing are worth, beside the policies and bounds of the theory papers."""
    watch = Stopwatch()
    sections = (
        better_a_min(settings, progress),
        below_hindsight(settings, progress),
        on_an_engine(settings, progress),
    )
    return watch.study("beyond", "Beyond the papers: least area and pacing", settings, sections)

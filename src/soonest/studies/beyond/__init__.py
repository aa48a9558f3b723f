"""Beyond the papers: a better A_min, and below hindsight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.report.study import VERDICT, Section
from soonest.studies.beyond import below_hindsight, better_a_min, engine
from soonest.studies.reproduction import Stopwatch, check_extras

if TYPE_CHECKING:
    from soonest.report.study import Study
    from soonest.studies.reproduction import Progress, Settings

__all__ = ["reproduce"]

TITLE = "Beyond the papers: least area and pacing"


def reproduce(settings: Settings, progress: Progress) -> Study:
    """What `least_area` and pacing are worth, beside the policies and bounds of the theory papers.

    Raises:
        SoonestError: the extra `fast` is missing.
    """
    watch = Stopwatch()
    check_extras("fast")
    tables = better_a_min.measure(settings, progress)
    backlogs = below_hindsight.measure(settings, progress)
    served = engine.measure(settings, progress)
    verdict = (*better_a_min.stands(tables), *below_hindsight.stands(backlogs), *engine.stands(served))
    sections = [
        Section(VERDICT, verdict),
        better_a_min.section(tables),
        below_hindsight.section(backlogs),
        engine.section(served),
    ]
    return watch.study("beyond", TITLE, settings, sections)

"""Robust scheduling under interval forecasts, run again, and MC-SF before it (arXiv:2508.14544, arXiv:2502.07115)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.studies.reproduction import Stopwatch
from soonest.studies.robust import a_min, families, online, realistic
from soonest.studies.robust.theory import closed_forms, convergence, optimum

if TYPE_CHECKING:
    from soonest.report.study import Study
    from soonest.studies.reproduction import Progress, Settings

__all__ = ["reproduce"]

TITLE = "Robust scheduling under interval forecasts, run again"


def reproduce(settings: Settings, progress: Progress) -> Study:
    """The closed forms, the published experiments and the same policies on an engine; the folder of data is needed.

    Raises:
        SoonestError: a data file is missing, or the extras `fast` and `theory` are.
    """
    watch = Stopwatch()
    settings.file(realistic.FILE, realistic.ABOUT)
    sections = [
        closed_forms.section(),
        convergence.section(convergence.measure(settings, progress)),
        families.section(families.measure(settings, progress)),
        optimum.section(optimum.measure(settings, progress)),
        a_min.section(a_min.measure(settings, progress)),
        *online.sections(online.measure(settings, progress)),
        realistic.section(realistic.measure(settings, progress)),
    ]
    return watch.study("robust", TITLE, settings, sections)

"""Robust scheduling under interval forecasts, run again, and MC-SF before it (arXiv:2508.14544, arXiv:2502.07115)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.report.study import VERDICT, Section
from soonest.studies.reproduction import Stopwatch, check_extras
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
        SoonestError: the data file is missing, or one of the extras `fast`, `theory` and `text` is.
    """
    watch = Stopwatch()
    check_extras("fast", "theory", "text")
    settings.file(realistic.FILE, realistic.ABOUT)
    closed = closed_forms.checks()
    simulated = convergence.measure(settings, progress)
    over_alpha = families.measure(settings, progress)
    best = optimum.measure(settings, progress)
    table = a_min.measure(settings, progress)
    over_time = online.measure(settings, progress)
    engine = realistic.measure(settings, progress)
    verdict = (
        closed_forms.stands(closed),
        convergence.stands(simulated),
        families.stands(over_alpha),
        optimum.stands(best),
        a_min.stands(table),
        *online.stands(over_time),
        *realistic.stands(engine),
    )
    sections = [
        Section(VERDICT, verdict),
        closed_forms.section(closed),
        convergence.section(simulated),
        families.section(over_alpha),
        optimum.section(best),
        a_min.section(table),
        *online.sections(over_time),
        realistic.section(engine),
    ]
    return watch.study("robust", TITLE, settings, sections)

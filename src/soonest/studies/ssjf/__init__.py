"""The SSJF paper run again, as published and corrected (Qiu et al., 2024, arXiv:2404.08509)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.studies.reproduction import Stopwatch, check_extras
from soonest.studies.ssjf import findings, switches, tables

if TYPE_CHECKING:
    from soonest.report.study import Study
    from soonest.studies.reproduction import Progress, Settings

__all__ = ["reproduce"]

TITLE = "SSJF, run again: as published, and without the faults"


def reproduce(settings: Settings, progress: Progress) -> Study:
    """Everything that the SSJF paper claims, run again; the folder of data is needed.

    Raises:
        SoonestError: a data file or the extra `text` is missing, or a file is malformed or too small.
    """
    watch = Stopwatch()
    check_extras("text")
    findings.check(settings)
    published = tables.run_published(settings, progress)
    switched = switches.run_switches(settings, progress)
    corrected = findings.run_corrected(settings, progress)
    sections = [
        findings.verdict(published, switched, corrected),
        *tables.sections(published),
        *switches.sections(switched, published),
        *findings.sections(corrected),
    ]
    return watch.study("ssjf", TITLE, settings, sections)

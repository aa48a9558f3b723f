"""The map: under which conditions does length-aware order help, by how much, and what does it cost at p99?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.studies.map.pages import sections
from soonest.studies.map.runs import run
from soonest.studies.map.widths import run_widths
from soonest.studies.reproduction import Stopwatch, check_extras

if TYPE_CHECKING:
    from soonest.report.study import Study
    from soonest.studies.reproduction import Progress, Settings

__all__ = ["reproduce"]


def reproduce(settings: Settings, progress: Progress) -> Study:
    """One sweep over load, burstiness, slots, memory, length variance and forecast quality; needs no data.

    Raises:
        SoonestError: the extra `fast` is not installed.
    """
    check_extras("fast")
    watch = Stopwatch()
    return watch.study(
        "map", "When it helps", settings, sections(run(settings, progress), run_widths(settings, progress))
    )

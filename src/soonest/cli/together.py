"""Flags of `soonest sim` that mean something only beside others: refused where they would be ignored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.studies import Arm


def is_public(trace: str) -> bool:
    """Whether a trace's name is that of a public one, to be downloaded, and not of a file here."""
    from soonest.data import CATALOGUE

    return trace in CATALOGUE and not Path(trace).exists()


def check_together(trace: str, given: Mapping[str, object], arms: Sequence[Arm]) -> None:
    """Refuse a flag that means nothing beside the others; `given` holds them by parameter name, `None` where not set.

    Raises:
        SimulationError: which flag, what it is, and what to do.
    """
    from soonest.core import SimulationError

    journal, memory = given["journal"] is not None, given["memory"] is not None
    file = trace != "sample"
    sources = file or journal or given["lengths"] is not None or given["prompts"] is not None
    several = given["engines"] is not None
    classes = any(arm.forecast.strip() == "classes" for arm in arms)
    needs = (
        ("timeout", given["rules"] == "dynamic", "is how long a dynamic batch waits to fill: add --rules dynamic"),
        ("router", several, "chooses between engines: add --engines"),
        ("speeds", several, "is one number an engine: add --engines"),
        ("gateways", given["router"] is None, "hold requests back, and --router sends them on: give one of them"),
        ("burstiness", given["arrivals"] == "gamma", "is that of gamma arrivals: add --arrivals gamma"),
        ("overdue_every", given["overdue_after"] is not None, "is the overdue lane's share: add --overdue-after"),
        ("watermark", memory, "is a share of memory, which has no limit here: add --memory"),
        ("clear", memory, "is what an overflow does, and memory has no limit here: add --memory"),
        ("predictions", classes, "makes the errors of plain `classes`: name it, as in shortest@classes"),
        ("predictor", given["prompts"] is not None, "reads prompts: add --prompts FILE"),
        ("test_share", given["prompts"] is not None, "is a share of the prompts: add --prompts FILE"),
        ("cut", given["prompts"] is not None, "is where the prompts' answers were cut: add --prompts FILE"),
        ("lengths", given["prompts"] is None, "and --prompts both give lengths: give one of them"),
        ("format", file and not is_public(trace), "is that of a file: add --trace FILE"),
        ("model", sources, "is one of a file's: add --trace, --lengths or --prompts"),
        ("since", journal, "is of a journal: add --journal FILE"),
        ("until", journal, "is of a journal: add --journal FILE"),
    )
    for name, met, remedy in needs:
        if given[name] is not None and not met:
            raise SimulationError(f"--{name.replace('_', '-')} {remedy}, or leave it out")

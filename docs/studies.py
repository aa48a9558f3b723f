"""Pages and pictures of the studies whose JSON is committed: what `soonest reproduce --out` wrote."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from docs import fleets
from docs.measured import RESULTS

from soonest.report.study import Study
from soonest.report.study.markdown import digest, draw, drawn_from, pictured, to_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from soonest.report.study import Chart

IMAGES = Path(__file__).parent / "images"


def studies() -> list[Study]:
    """All of them."""
    return [Study.read(path) for path in sorted(RESULTS.glob("reproduce_*.json"))]


def parts() -> dict[str, Callable[[str], str]]:
    """The generated part of each study's page, which lies beside the images."""
    return {f"reproduce-{study.name}": partial(_part, study) for study in studies()}


def pictures() -> Iterator[tuple[Path, Chart]]:
    """Every picture of a study or of fleets, and the chart that it should show."""
    for study in studies():
        for name, chart in pictured(study).items():
            yield IMAGES / name, chart
    yield from fleets.pictures(IMAGES)


def stale() -> Iterator[tuple[Path, Chart]]:
    """Pictures that are not there, or show another chart."""
    for path, chart in pictures():
        if not path.exists() or drawn_from(path.read_bytes()) != digest(chart):
            yield path, chart


def redraw() -> Iterator[Path]:
    """Draw what is stale and take away what no study shows; the paths."""
    for path, chart in stale():
        path.write_bytes(draw(chart))
        yield path
    known = {path for path, _ in pictures()}
    for path in set(IMAGES.glob("reproduce-*.png")) - known:
        path.unlink()
        yield path


def _part(study: Study, _up: str) -> str:
    return to_markdown(study, IMAGES.name)

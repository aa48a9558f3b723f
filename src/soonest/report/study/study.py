"""What a study found: text, tables and curves, with all that is needed to run it again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Cell = str | int | float | None
VERDICT = "What stands"
"""The title of the section that says which claims of a paper stand."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One named line of a plot; `low` and `high`, where given, are its confidence band."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]  # `nan` where there is nothing to show
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over one pair of axes."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: headings, and rows of text, numbers or nothing."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a study: paragraphs of plain text, then its tables and charts."""

    title: str
    text: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """All that one study found. Every figure in a page or a report comes out of one of these."""

    name: str  # one word, which names its files and its page
    title: str
    command: str  # what makes it again
    seed: int
    versions: Mapping[str, str]  # of soonest, Python and what computed
    machine: str
    seconds: float  # how long it took
    sections: tuple[Section, ...] = field(default=())

    @property
    def answer(self) -> Section:
        """The section that says what stands; in a study of no paper's claims, the first."""
        return next((section for section in self.sections if section.title == VERDICT), self.sections[0])

    def to_json(self) -> str:
        """The study as JSON that `from_json` reads back equal; a number that is not finite becomes nothing."""
        return json.dumps(_finite(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Study:
        """The study that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "sections": tuple(_section(section) for section in values["sections"])})

    @classmethod
    def read(cls, path: Path) -> Study:
        """The study in a file that holds what `to_json` wrote."""
        return cls.from_json(path.read_text(encoding="utf-8"))


def _finite(value: Any) -> Any:
    """JSON has neither infinity nor `nan`."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _section(values: dict[str, Any]) -> Section:
    grids = (
        Grid(grid["caption"], tuple(grid["headings"]), tuple(tuple(row) for row in grid["rows"]))
        for grid in values["grids"]
    )
    charts = (
        Chart(**{**chart, "curves": tuple(_curve(curve) for curve in chart["curves"])}) for chart in values["charts"]
    )
    return Section(values["title"], tuple(values["text"]), tuple(grids), tuple(charts))


def _curve(values: dict[str, Any]) -> Curve:
    band = {side: None if values[side] is None else _numbers(values[side]) for side in ("low", "high")}
    return Curve(values["name"], _numbers(values["x"]), _numbers(values["y"]), **band)


def _numbers(values: list[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)

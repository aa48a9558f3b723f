"""Predictors side by side: a row for each measure, a column for each predictor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from soonest.core import SoonestError
from soonest.report.forecasts.catalogue import FORECAST_MEASURES
from soonest.report.table import three_digits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

HIDDEN: Final = frozenset(
    {"coverage_low", "coverage_high", *(key for key in FORECAST_MEASURES if key.startswith("train_"))}
)
"""Bounds, which stand beside the coverage, and what is known of the training."""
FOOTER: Final = (
    "Coverage with its 95 % interval, conversations as the unit. Unknown forecasts are in no measure of intervals; "
    "elsewhere they expect the training mean. Cut answers count with the length at which they were cut."
)


def assessment_table(columns: Mapping[str, Mapping[str, float]]) -> Table:
    """Measures of predictors by name as a Rich table in pipes, readable in a file as well; long names are folded.

    Raises:
        SoonestError: there is no predictor.
    """
    from rich.box import MARKDOWN  # noqa: PLC0415 - a program that prints no table loads no Rich
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    heads, *lines = cells(columns)
    table = Table(box=MARKDOWN, caption=Text(FOOTER), caption_justify="left", highlight=False)
    for number, head in enumerate(heads):
        table.add_column(Text(head), justify="right" if number > 1 else "left", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def assessment_markdown(columns: Mapping[str, Mapping[str, float]]) -> str:
    """The same as Markdown.

    Raises:
        SoonestError: there is no predictor.
    """
    heads, *lines = ([cell.replace("|", "\\|") for cell in line] for line in cells(columns))
    rule = ["---", "---", *["---:"] * (len(heads) - 2)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rule, *lines)) + f"\n\n{FOOTER}"


def cells(columns: Mapping[str, Mapping[str, float]]) -> Sequence[list[str]]:
    """The same as text, its headings first.

    Raises:
        SoonestError: there is no predictor.
    """
    if not columns:
        raise SoonestError("a table needs at least one predictor")
    shown = [key for key in FORECAST_MEASURES if key not in HIDDEN and any(key in found for found in columns.values())]
    rows = [
        [FORECAST_MEASURES[key].label, FORECAST_MEASURES[key].unit, *(_cell(key, found) for found in columns.values())]
        for key in shown
    ]
    return [["measure", "unit", *columns], *rows]


def _cell(key: str, found: Mapping[str, float]) -> str:
    value = found.get(key, math.nan)
    if key == "answers" and math.isfinite(value):
        return f"{value:.0f}"
    text = three_digits(value)
    if key != "coverage" or not math.isfinite(value):
        return text
    return f"{text} ({three_digits(found['coverage_low'])}-{three_digits(found['coverage_high'])})"

"""Measures and forecasts on stdout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

WIDTH = 120
"""Of a table where nobody looks at it."""


def console() -> Console:
    """Stdout, as wide as the terminal; in a file, wide enough."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def print_measures(columns: Mapping[str, Mapping[str, float]], *, markdown: bool) -> None:
    """The table of measures: a row each, a column for each predictor."""
    from soonest.report.forecasts import assessment_markdown, assessment_table

    if markdown:
        typer.echo(assessment_markdown(columns))
    else:
        console().print(assessment_table(columns))

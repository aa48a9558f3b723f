"""Policies side by side as parts of a study, whether they were simulated or measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from soonest.report import measures
from soonest.report.compare import interval
from soonest.report.plots import LOAD_LABEL, SHARE_LABEL, TIME_LABEL, share_within
from soonest.report.study.study import Chart, Curve, Grid, Section
from soonest.report.table import cells, footer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from soonest.core import Records
    from soonest.report.study.study import Cell
    from soonest.report.table import Row

POINTS = 400
"""Of a distribution's curve, its tail aside."""
FIRST_LABEL = "time to the first token (s)"
AGAINST_LOAD = (
    ("Mean JCT against load", "mean_e2el_ms"),
    ("p99 of the JCT against load", "p99_e2el_ms"),
    ("Longest JCT against load", "max_e2el_ms"),
)


def comparison(
    title: str,
    rows: Sequence[Row],
    pooled: Mapping[str, Sequence[Records]],
    remarks: Sequence[str] = (),
    *,
    legend: bool = True,
) -> Section:
    """One table of policies and what it says; `pooled` is drawn, repetitions together.

    Raises:
        SoonestError: there is no row, or repetitions differ in number.
    """
    heads, *lines = cells(rows)
    table = Grid("Policies side by side", tuple(heads), tuple(map(tuple, lines)))
    charts = (
        *_distribution("Job completion times", TIME_LABEL, pooled, measures.jct),
        *_distribution("Times to the first token", FIRST_LABEL, pooled, measures.ttft),
    )
    return Section(title, (*footer(rows, legend=legend).splitlines(), *remarks), (table,), charts)


def every_measure(rows: Mapping[str, Sequence[Row]]) -> Section:
    """All that was measured, in a table for each load by its title; under the names that JSON has."""
    said = "Means over repetitions; what nobody knows is left out."
    return Section("Every measure", (said,), tuple(_measures(title, several) for title, several in rows.items()))


def against_load(rows: Mapping[float, Sequence[Row]]) -> Section:
    """Mean, p99 and maximum of the JCT at each load, in seconds, with 95 % confidence bands over repetitions."""
    charts = tuple(
        Chart(title, LOAD_LABEL, TIME_LABEL, tuple(_bands(rows, key)), log_y=True) for title, key in AGAINST_LOAD
    )
    said = "Each point is the mean over repetitions, its band the 95 % confidence interval (Student's t)."
    return Section("Against load", (said,), (), charts)


def conditions(told: Mapping[str, object]) -> Section:
    """All that the numbers depend on, one line each; what plays no part is left out."""
    lines = [(name, str(value)) for name, value in _flat(told) if value is not None]
    return Section("Conditions", (), (Grid("What was set", ("condition", "value"), tuple(lines)),))


def _measures(title: str, rows: Sequence[Row]) -> Grid:
    keys = rows[0].repetitions[0]
    lines = [(key, *(_number(row, key) for row in rows)) for key in keys]
    known = tuple(line for line in lines if any(cell is not None for cell in line[1:]))
    return Grid(title, ("measure", *(row.policy for row in rows)), known)


def _number(row: Row, key: str) -> Cell:
    """A count stays one where there is one repetition."""
    if len(row.repetitions) == 1:
        return row.repetitions[0].get(key)
    mean = row.mean(key)
    return mean if math.isfinite(mean) else None


def _distribution(
    title: str,
    label: str,
    pooled: Mapping[str, Sequence[Records]],
    measure: Callable[[Records], NDArray[np.float64]],
) -> Iterator[Chart]:
    """The share of requests within each time; nothing where no request got there."""
    curves = []
    for name, several in pooled.items():
        seconds = np.sort(np.concatenate([measure(records) for records in several]))
        if len(seconds := seconds[np.isfinite(seconds)]):
            curves.append(Curve(name, *map(_short, share_within(seconds, POINTS))))
    if curves:
        yield Chart(title, label, SHARE_LABEL, tuple(curves), log_x=True)


def _short(values: NDArray[np.float64]) -> tuple[float, ...]:
    """In as many digits as a plot shows, so that a page stays small."""
    return tuple(float(f"{value:.5g}") for value in values)


def _bands(rows: Mapping[float, Sequence[Row]], key: str) -> Iterator[Curve]:
    """A curve a policy, over the loads at which it has this number."""
    for name in dict.fromkeys(row.policy for several in rows.values() for row in several):
        points = {
            load: interval([value / 1e3 for value in row.values(key)])
            for load, several in sorted(rows.items())
            for row in several
            if row.policy == name and math.isfinite(row.mean(key))
        }
        if points:
            mean = [found.mean for found in points.values()]
            width = [found.half_width or 0.0 for found in points.values()]
            low = tuple(max(m - w, m / 100) for m, w in zip(mean, width, strict=True))  # a log axis ends above 0
            high = tuple(m + w for m, w in zip(mean, width, strict=True))
            yield Curve(name, tuple(points), tuple(mean), low, high)


def _flat(told: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value

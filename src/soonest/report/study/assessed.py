"""Forecasts beside the lengths that came, as parts of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.report.forecasts.plot import X_LABEL, Y_LABEL
from soonest.report.forecasts.table import FOOTER, cells
from soonest.report.study.study import Chart, Curve, Grid, Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.report.forecasts import Assessment

COMPUTE = ("soonest", "numpy", "lightgbm", "onnxruntime", "torch")
"""What forecasts come from."""
DECILES = "Coverage by expected length"


def assessment(title: str, found: Mapping[str, Assessment]) -> tuple[Section, ...]:
    """Measures of predictors by name, their calibration, and how far their promise holds for short and long answers.

    Raises:
        SoonestError: there is no predictor.
    """
    heads, *lines = cells({name: one.measures for name, one in found.items()})
    table = Grid("Predictors side by side", tuple(heads), tuple(map(tuple, lines)))
    spoken = {name: one for name, one in found.items() if one.calibration}
    sections = [Section(title, (FOOTER,), (table,))]
    if spoken:
        sections += [_calibration(spoken), _deciles(spoken)]
    return tuple(sections)


def _calibration(found: Mapping[str, Assessment]) -> Section:
    curves = [
        Curve(name, *(tuple(100 * value for value in side) for side in zip(*one.calibration, strict=True)))
        for name, one in found.items()
    ]
    levels = [level for level, _ in next(iter(found.values())).calibration]
    grid = Grid(
        "Observed share (%) at each nominal level (%)",
        ("level", *found),
        tuple((100 * level, *(100 * dict(one.calibration)[level] for one in found.values())) for level in levels),
    )
    even = Curve("as promised", (0.0, 100.0), (0.0, 100.0))
    chart = Chart("Calibration", X_LABEL, Y_LABEL, (*curves, even))
    said = "A forecast whose quantiles are right lies on the diagonal; below it answers are longer than forecast."
    return Section("Calibration", (said,), (grid,), (chart,))


def _deciles(found: Mapping[str, Assessment]) -> Section:
    rows = [
        (name, number, part.size, part.expected, 100 * part.coverage)
        for name, one in found.items()
        for number, part in enumerate(one.deciles, start=1)
    ]
    heads = ("predictor", "decile", "answers", "expected tokens", "covered %")
    curves = tuple(
        Curve(
            name,
            tuple(float(part.expected) for part in one.deciles),
            tuple(100 * float(part.coverage) for part in one.deciles),
        )
        for name, one in found.items()
    )
    chart = Chart(DECILES, "expected tokens, mean of a tenth of the answers", "answers inside the interval (%)", curves)
    said = "The answers in tenths by expected tokens: a promise that holds on the whole may fail the long ones."
    return Section(DECILES, (said,), (Grid("Tenths of the answers", heads, tuple(rows)),), (chart,))

"""The calibration plot: what share of answers lies below each quantile, and what share should."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from soonest.core import SoonestError
from soonest.report.files import write_bytes
from soonest.report.plots import COLOURS, MARKERS, check_picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Curves = Mapping[str, Sequence[tuple[float, float]]]

X_LABEL: Final = "level of the forecast's quantile (%)"
Y_LABEL: Final = "answers that do not exceed it (%)"


def plot_calibration(path: str | Path, curves: Curves, title: str) -> None:
    """Draw calibration curves by the names of predictors: pairs of nominal level and observed share.

    The picture is a PNG made by Matplotlib.

    Raises:
        SoonestError: another suffix, a missing library, nothing to draw, or a file that cannot be written.
    """
    check_picture(path)
    drawn = {name: [(100 * x, 100 * y) for x, y in curve] for name, curve in curves.items() if curve}
    if not drawn:
        raise SoonestError("nothing to draw: no forecast says anything")
    write_bytes(path, _picture(drawn, title))


def _picture(curves: Curves, title: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - the base install has no Matplotlib
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(6.4, 6.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot((0, 100), (0, 100), color="#999999", linewidth=0.8, linestyle=":")
    for number, (name, curve) in enumerate(curves.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot(*zip(*curve, strict=True), marker=marker, color=colour, markersize=4, linewidth=1.6,
                  label=name.replace("$", r"\$"))  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel=X_LABEL, ylabel=Y_LABEL, aspect="equal")
    axes.grid(visible=True, color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=12, parse_math=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()

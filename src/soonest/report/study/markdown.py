"""A study as a page of the documentation, and its figures as pictures."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.report.plots import MARKERS
from soonest.report.study.html import PALETTE, leading_words, numbers_as_text, origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from soonest.report.study.study import Chart, Grid, Section, Study

COLOURS_IN_ALL: Final = 128
DRAWN_FROM: Final = "Source"
"""The PNG's text field that holds the digest of the chart."""


def to_markdown(study: Study, images: str) -> str:
    """The whole study: text, tables and pictures, which lie under `images`, and what it was made with at the end."""
    drawn = iter(pictured(study))
    parts = [part for section in study.sections for part in _section(section, drawn, images)]
    return "\n\n".join([*parts, f"Made with: `{origin(study)}`."])


def pictured(study: Study) -> dict[str, Chart]:
    """The study's charts by the name of their picture, in the order of the page."""
    charts = [chart for section in study.sections for chart in section.charts]
    return {f"reproduce-{study.name}-{number}.png": chart for number, chart in enumerate(charts, start=1)}


def _section(section: Section, names: Iterator[str], images: str) -> Iterator[str]:
    yield f"## {section.title}"
    yield from section.text
    for grid in section.grids:
        yield f"*{grid.caption}*"
        yield _table(grid)
    for chart in section.charts:
        yield f"![{chart.title}]({images}/{next(names)})"


def _table(grid: Grid) -> str:
    rule = [":---" if word else "---:" for word in leading_words(grid)]
    body = [[numbers_as_text(cell).replace("|", "\\|") for cell in row] for row in grid.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in ([*grid.headings], rule, *body))


def digest(chart: Chart) -> str:
    """Of everything that a chart shows."""
    return hashlib.sha256(json.dumps(asdict(chart), sort_keys=True).encode()).hexdigest()


def drawn_from(picture: bytes) -> str | None:
    """The digest of the chart that a PNG made by `draw` shows; `None` in any other."""
    at = 8
    while at < len(picture):
        size = int.from_bytes(picture[at : at + 4])
        kind, content = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        if kind == b"tEXt" and content.startswith(DRAWN_FROM.encode() + b"\0"):
            return content.partition(b"\0")[2].decode("latin-1")
        at += size + 12
    return None


def draw(chart: Chart) -> bytes:
    """The chart as a PNG by Matplotlib, which remembers the digest of the chart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - the base install has no Matplotlib
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7.2, 4.6), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, curve in enumerate(chart.curves):
        colour = PALETTE[number % len(PALETTE)]
        axes.plot(curve.x, curve.y, marker=MARKERS[number % len(MARKERS)], markersize=4, color=colour, label=curve.name,
                  linestyle=("-", "--", ":", "-.")[number // len(PALETTE) % 4], linewidth=1.6)  # fmt: skip
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    _finish(axes, chart)
    return _png(canvas, digest(chart))


def _png(canvas: FigureCanvasAgg, source: str) -> bytes:
    """In few colours, which makes the file a third as large."""
    from PIL import Image, PngImagePlugin  # noqa: PLC0415 - comes with Matplotlib

    canvas.draw()
    told = PngImagePlugin.PngInfo()
    told.add_text(DRAWN_FROM, source)
    content = io.BytesIO()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    picture.quantize(COLOURS_IN_ALL, dither=Image.Dither.NONE).save(content, "PNG", pnginfo=told, optimize=True)
    return content.getvalue()


def _finish(axes: Axes, chart: Chart) -> None:
    axes.set_title(chart.title, fontsize=10, parse_math=False)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    for log, scale, axis in ((chart.log_x, axes.set_xscale, axes.xaxis), (chart.log_y, axes.set_yscale, axes.yaxis)):
        if log:
            scale("log")
            axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(visible=True, which="major", color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=8, frameon=False)

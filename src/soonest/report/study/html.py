"""Studies as one self-contained page: tables, figures to explore, and what each was made with."""

from __future__ import annotations

import re
from html import escape
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from soonest.core import SoonestError
from soonest.report.files import check_target, write_bytes
from soonest.report.plots import COLOURS
from soonest.report.table import three_digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plotly.graph_objects import Figure

    from soonest.report.study.study import Cell, Chart, Curve, Grid, Section, Study

GREY = "#888888"
PALETTE = (*COLOURS[:6], GREY)
"""Without black, which a dark page swallows."""
DASHES = ("solid", "dash", "dot", "dashdot")
NARROW = 7
"""Columns that a table beside a figure has at most."""
DOTTED = 50
"""Points that a curve marks at most; one of more is a line alone."""
CODE = re.compile(r"`([^`]+)`")

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { color-scheme: light dark; --text: #222; --soft: #666; --line: #ddd; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --soft: #999; --line: #444; --page: #1b1b1b; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 1.5rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; } h1, h2 { font-weight: 600; }
p { max-width: 52rem; }
nav { columns: 18rem; margin-bottom: 2rem; } nav a { color: inherit; display: block; }
.beside { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 36rem), 1fr)); gap: 1rem 2rem; }
figure, .table { margin: 0 0 1.5rem; min-width: 0; overflow-x: auto; } .wide { grid-column: 1 / -1; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
caption { text-align: left; padding-bottom: .4rem; color: var(--soft); }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; font-weight: 600; }
th.word, td.word { text-align: left; }
.origin, figcaption { color: var(--soft); font-size: 12px; }
</style>
<script>$plotly</script>
</head>
<body>
$body</body>
</html>
""")


def check_page(path: str | Path) -> None:
    """Refuse, before long work, a page that cannot be made or written.

    Raises:
        SoonestError: another suffix than .html, a missing library or folder.
    """
    if check_target(path).suffix.lower() != ".html":
        raise SoonestError(f"--html writes a page: name it .html, not {Path(path).name!r}")
    if find_spec("plotly") is None:
        raise SoonestError("--html needs Plotly: pip install 'soonest[plot]'")


def write_page(path: str | Path, studies: Sequence[Study]) -> None:
    """Write the studies on one page.

    Raises:
        SoonestError: as `check_page`, or the file cannot be written.
    """
    check_page(path)
    write_bytes(path, page(studies))


def page(studies: Sequence[Study]) -> bytes:
    """The studies on one HTML page that loads nothing from elsewhere and follows the reader's light or dark.

    Needs Plotly, whose script is embedded once.
    """
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - the base install has no Plotly

    titles = [(f"{study.name}-{i}", s.title) for study in studies for i, s in enumerate(study.sections)]
    links = "".join(f'<a href="#{name}">{escape(title)}</a>\n' for name, title in titles)
    body = f"<nav>\n{links}</nav>\n" + "".join(_study(study) for study in studies)
    title = " · ".join(study.title for study in studies)
    return _PAGE.substitute(title=escape(title), plotly=get_plotlyjs(), body=body).encode(errors="replace")


def origin(study: Study) -> str:
    """What every figure of a study was made with, in a line."""
    made = ", ".join(f"{name} {number}" for name, number in study.versions.items())
    return f"{study.command}; seed {study.seed}; {made}; {study.machine}; {study.seconds:.0f} s"


def numbers_as_text(cell: Cell) -> str:
    """A cell as tables show it: three significant digits, whole numbers in full."""
    if cell is None:
        return ""
    return three_digits(cell) if isinstance(cell, float) else str(cell)


def leading_words(grid: Grid) -> list[bool]:
    """Which columns are the row's name: those of words before the first with a number."""
    found: list[bool] = []
    for column in zip(*grid.rows, strict=True):
        words = all(isinstance(cell, str) and not cell[:1].isdigit() for cell in column)
        found.append(words and all(found))
    return found or [True] * len(grid.headings)


def _study(study: Study) -> str:
    made = f'<p class="origin">{escape(origin(study))}</p>\n'
    parts = "".join(_section(study, i, section) for i, section in enumerate(study.sections))
    return f"<h1>{escape(study.title)}</h1>\n{made}{parts}"


def _section(study: Study, number: int, section: Section) -> str:
    name = f"{study.name}-{number}"
    text = "".join(f"<p>{_words(paragraph)}</p>\n" for paragraph in section.text)
    grids = "".join(_table(grid) for grid in section.grids)
    figures = "".join(_figure(chart, f"{name}-{i}", study) for i, chart in enumerate(section.charts))
    beside = f'<div class="beside">\n{grids}{figures}</div>\n' if grids or figures else ""
    return f'<h2 id="{name}">{escape(section.title)}</h2>\n{text}{beside}'


def _words(paragraph: str) -> str:
    return CODE.sub(r"<code>\1</code>", escape(paragraph))


def _table(grid: Grid) -> str:
    kinds = [' class="word"' if word else "" for word in leading_words(grid)]

    def line(tag: str, cells: Sequence[str]) -> str:
        return f"<tr>{''.join(f'<{tag}{k}>{_words(c)}</{tag}>' for k, c in zip(kinds, cells, strict=True))}</tr>\n"

    rows = "".join(line("td", [numbers_as_text(cell) for cell in row]) for row in grid.rows)
    head = line("th", grid.headings)
    size = "table wide" if len(grid.headings) > NARROW else "table"
    return f'<div class="{size}"><table>\n<caption>{_words(grid.caption)}</caption>\n{head}{rows}</table></div>\n'


def _figure(chart: Chart, name: str, study: Study) -> str:
    config = {"displaylogo": False, "responsive": True}
    drawn = _plot(chart).to_html(full_html=False, include_plotlyjs=False, div_id=f"plot-{name}", config=config)
    return f"<figure>{drawn}<figcaption>{escape(origin(study))}</figcaption></figure>\n"


def _plot(chart: Chart) -> Figure:
    from plotly.graph_objects import Figure  # noqa: PLC0415

    figure = Figure()
    for number, curve in enumerate(chart.curves):
        _add(figure, curve, PALETTE[number % len(PALETTE)], DASHES[number // len(PALETTE) % len(DASHES)])
    axis = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.4)", "linecolor": GREY}
    figure.update_xaxes(title_text=escape(chart.x_label), type="log" if chart.log_x else "linear", **axis)
    figure.update_yaxes(title_text=escape(chart.y_label), type="log" if chart.log_y else "linear", **axis)
    figure.update_layout(
        template="none",
        title={"text": escape(chart.title), "font": {"size": 14}, "x": 0, "xref": "paper"},
        font={"color": GREY, "family": "system-ui, sans-serif"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=420,
        margin={"t": 50, "r": 20, "l": 60, "b": 50},
        legend={"orientation": "h", "yanchor": "top", "y": -0.2, "x": 0},
    )
    return figure


def _add(figure: Figure, curve: Curve, colour: str, dash: str) -> None:
    name = escape(curve.name)
    if curve.low is not None and curve.high is not None:
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        edge = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", "legendgroup": name}
        figure.add_scatter(x=curve.x, y=curve.low, **edge)
        figure.add_scatter(
            x=curve.x, y=curve.high, fill="tonexty", fillcolor=f"rgba({red},{green},{blue},0.18)", **edge
        )
    figure.add_scatter(
        x=curve.x,
        y=curve.y,
        name=name,
        legendgroup=name,
        mode="lines+markers" if len(curve.x) <= DOTTED else "lines",
        line={"color": colour, "dash": dash},
        hovertemplate="%{y:.3g} at %{x:.3g}",
    )

"""One self-contained page: the curves to explore, their numbers beside them."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING

from soonest.report.plots import BAND_LABEL, SHARE_LABEL, TIME_LABEL
from soonest.report.table import three_digits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plotly.graph_objects import Figure

    from soonest.report.plots import Band, Curve, Drawing

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; color: #222; margin: 1.5rem; }
h1 { font-size: 1.2rem; font-weight: 600; }
main { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; }
.plot { flex: 3 1 40rem; min-width: 0; }
.numbers { flex: 1 1 24rem; overflow-x: auto; }
table { border-collapse: collapse; margin-bottom: 1.5rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; color: #555; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
i { display: inline-block; width: .7em; height: .7em; margin-right: .5em; }
</style>
</head>
<body>
<h1>$title</h1>
<main>
<div class="plot">$plot</div>
<div class="numbers">
$tables</div>
</main>
</body>
</html>
""")


def page(drawing: Drawing) -> bytes:
    """The drawing as an HTML page that loads nothing from elsewhere."""
    figure = _figure(drawing)
    plot = figure.to_html(
        full_html=False, include_plotlyjs=True, include_mathjax=False, div_id="plot", config={"displaylogo": False}
    )
    tables = ""
    if drawing.curves:
        tables += _table(
            _caption("Job completion time (s) of finished requests", drawing.panels[0]),
            ("policy", "finished", "mean", "p50", "p99", "max"),
            _curve_rows(drawing.curves),
        )
    if drawing.bands:
        tables += _table(
            _caption(
                "Job completion time (s) by load, ± half-width of its 95 % confidence interval", drawing.panels[1]
            ),
            ("policy", "load", "mean", "p99"),
            _band_rows(drawing.bands),
        )
    return _PAGE.substitute(title=escape(drawing.title), plot=plot, tables=tables).encode(errors="replace")


def _figure(drawing: Drawing) -> Figure:
    from plotly.subplots import make_subplots  # noqa: PLC0415 - the base install has no Plotly

    panels = bool(drawing.curves) + bool(drawing.bands)
    titles = [title for title, given in zip(drawing.panels, (drawing.curves, drawing.bands), strict=True) if given]
    figure = make_subplots(rows=panels, cols=1, vertical_spacing=0.16, subplot_titles=[escape(t) for t in titles])
    for curve in drawing.curves:
        _add_curve(figure, curve)
    if drawing.curves:
        figure.update_xaxes(title_text=TIME_LABEL, type="log", row=1, col=1)
        figure.update_yaxes(title_text=SHARE_LABEL, range=[0, 103], row=1, col=1)
    named = {curve.name for curve in drawing.curves}
    for band in drawing.bands:
        _add_band(figure, band, panels, in_legend=band.name not in named)
        named.add(band.name)
    if drawing.bands:
        figure.update_xaxes(title_text=drawing.load_label, row=panels, col=1)
        figure.update_yaxes(title_text=f"{TIME_LABEL}, {BAND_LABEL}", type="log", row=panels, col=1)
    figure.update_layout(
        template="plotly_white",
        height=80 + 420 * panels,
        margin={"t": 30, "r": 20},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.06, "x": 0},
    )
    return figure


def _add_curve(figure: Figure, curve: Curve) -> None:
    figure.add_scatter(
        x=curve.seconds,
        y=curve.percent,
        name=escape(curve.name),
        legendgroup=curve.name,
        mode="lines",
        line={"color": curve.colour},
        hovertemplate="%{y:.1f} % within %{x:.3g} s",
        row=1,
        col=1,
    )


def _add_band(figure: Figure, band: Band, row: int, *, in_legend: bool) -> None:
    red, green, blue = (int(band.colour[i : i + 2], 16) for i in (1, 3, 5))
    shared = {"legendgroup": band.name, "row": row, "col": 1}
    edge = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    figure.add_scatter(x=band.load, y=band.low, **edge, **shared)
    fill = f"rgba({red}, {green}, {blue}, 0.18)"
    figure.add_scatter(x=band.load, y=band.high, fill="tonexty", fillcolor=fill, **edge, **shared)
    figure.add_scatter(
        x=band.load,
        y=band.mean,
        name=escape(band.name),
        mode="lines+markers",
        line={"color": band.colour, "dash": "solid" if band.statistic == "mean" else "dash"},
        showlegend=in_legend,
        hovertemplate=f"{band.statistic} %{{y:.3g}} s at load %{{x:.3g}}",
        **shared,
    )


def _band_rows(bands: tuple[Band, ...]) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    for mean, p99 in zip(bands[::2], bands[1::2], strict=True):
        for i, load in enumerate(mean.load):
            numbers = (_with_width(band.mean[i], band.half_widths[i]) for band in (mean, p99))
            yield mean.name, mean.colour, (three_digits(load), *numbers)


def _curve_rows(curves: tuple[Curve, ...]) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    for curve in curves:
        numbers = (three_digits(seconds) for seconds in (curve.mean, curve.p50, curve.p99, curve.max))
        yield curve.name, curve.colour, (str(curve.finished), *numbers)


def _caption(what: str, condition: str) -> str:
    return f"{what}; {escape(condition)}" if condition else what


def _with_width(mean: float, half_width: float | None) -> str:
    return three_digits(mean) if half_width is None else f"{three_digits(mean)} ± {three_digits(half_width)}"


def _table(caption: str, headings: tuple[str, ...], rows: Iterable[tuple[str, str, tuple[str, ...]]]) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(
        f'<tr><td><i style="background: {colour}"></i>{escape(name)}</td>'
        f"{''.join(f'<td>{number}</td>' for number in numbers)}</tr>\n"
        for name, colour, numbers in rows
    )
    return f"<table>\n<caption>{caption}</caption>\n<tr>{head}</tr>\n{body}</table>\n"

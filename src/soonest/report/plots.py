"""Latency as a curve, in a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import SoonestError
from soonest.report import measures
from soonest.report.files import check_target, write_bytes
from soonest.report.table import three_digits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from soonest.core import Records
    from soonest.report.compare import Interval

    Load = tuple[float, Interval, Interval]
    """A load, and the mean and the p99 of the JCT there, in seconds."""

# Okabe and Ito's palette, which colour-blind readers tell apart; its yellow fades on white and is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
CURVE_POINTS = 2000
TAIL_POINTS = 100

TIME_LABEL = "job completion time (s)"
SHARE_LABEL = "requests finished within it (%)"
BAND_LABEL = "mean solid, p99 dashed"
LOAD_LABEL = "load (arrival rate / capacity)"


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One policy's distribution of JCTs, in seconds: the curve, and the numbers in its legend."""

    name: str
    colour: str
    seconds: NDArray[np.float64]
    percent: NDArray[np.float64]
    mean: float
    p99: float


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """One number of one policy against load, in seconds, between its ends; they coincide where they are unknown."""

    name: str
    statistic: str
    colour: str
    marker: str
    load: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a plot shows, however it is drawn; `panels` are the titles of the curves and of the bands."""

    title: str
    curves: tuple[Curve, ...]
    bands: tuple[Band, ...]
    load_label: str
    panels: tuple[str, str]


def plot(
    path: str | Path,
    latencies: Mapping[str, NDArray[np.float64]] | None,
    by_load: Mapping[str, Sequence[Load]] | None,
    title: str,
    *,
    load_label: str = LOAD_LABEL,
    panels: tuple[str, str] = ("", ""),
) -> None:
    """Draw what is given, side by side: the distribution of JCTs, and their mean and p99 against load; in seconds.

    The picture is a PNG made by Matplotlib. `title` states what is true of both panels: trace and engine. `panels` are
    titles of their own: at which load the distribution is, how many repetitions it pools, and of how many the other
    panel shows the mean.

    Raises:
        SoonestError: another suffix, a missing library, nothing to draw, or a file that cannot be written.
    """
    check_picture(path)
    write_bytes(path, picture(_drawing(latencies or {}, by_load or {}, title, load_label, panels)))


def check_picture(path: str | Path) -> None:
    """Refuse, before long work, a picture that cannot be drawn or written.

    Raises:
        SoonestError: another suffix than .png, a missing library or folder.
    """
    if check_target(path).suffix.lower() != ".png":
        raise SoonestError(f"cannot draw {Path(path).name!r}: name it .png; a page to explore is what --html writes")
    if find_spec("matplotlib") is None:
        raise SoonestError("a picture needs Matplotlib: pip install 'soonest[plot]'")


def plot_latency(series: Mapping[str, NDArray[np.float64] | Sequence[Records]], path: str | Path, title: str) -> None:
    """The share of requests finished within each time, a curve a policy, on a logarithmic time axis.

    A policy gives its JCTs in seconds, or its repetitions, which are pooled. Raises as `plot` does.
    """
    plot(path, {name: _pooled(values) for name, values in series.items()}, None, title)


def plot_load(
    points: Mapping[str, Sequence[Load]], path: str | Path, title: str, *, load_label: str = LOAD_LABEL
) -> None:
    """Mean and p99 of the JCT against load, with confidence bands. Raises as `plot` does."""
    plot(path, None, points, title, load_label=load_label)


def picture(drawing: Drawing) -> bytes:
    """The drawing as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - the base install has no Matplotlib
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels = bool(drawing.curves) + bool(drawing.bands)
    figure = Figure(figsize=(7.2 if panels == 1 else 13.0, 5.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    if drawing.curves:
        _draw_curves(axes.pop(0), drawing)
    if drawing.bands:
        _draw_bands(axes.pop(0), drawing)
    figure.suptitle(drawing.title, fontsize=12, parse_math=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _draw_curves(axes: Axes, drawing: Drawing) -> None:
    for number, curve in enumerate(drawing.curves):
        label = f"{curve.name}: mean {three_digits(curve.mean)} s, p99 {three_digits(curve.p99)} s"
        style = ("-", "--", "-.", ":")[number // len(COLOURS) % 4]
        axes.plot(curve.seconds, curve.percent, style, color=curve.colour, label=label, linewidth=1.8)
        axes.plot(max(curve.p99, curve.seconds[0]), 99, "o", color=curve.colour, markersize=5)
    axes.axhline(99, color="#999999", linewidth=0.8, linestyle=":")
    axes.annotate("p99", (1, 99), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
                  va="center", fontsize=8, color="#666666")  # fmt: skip
    axes.set_ylim(0, 103)
    _finish(axes, drawing.panels[0], TIME_LABEL, SHARE_LABEL)
    axes.set_xscale("log")
    axes.set_xlim(left=min(curve.seconds[np.searchsorted(curve.percent, 0.2)] for curve in drawing.curves) / 1.2)
    axes.xaxis.set_major_formatter(_tick)


def _draw_bands(axes: Axes, drawing: Drawing) -> None:
    for band in drawing.bands:
        style = "-" if band.statistic == "mean" else "--"
        axes.plot(band.load, band.mean, style, marker=band.marker, color=band.colour, markersize=4, linewidth=1.6,
                  label=band.name if band.statistic == "mean" else None)  # fmt: skip
        axes.fill_between(band.load, band.low, band.high, color=band.colour, alpha=0.18, linewidth=0)
    _finish(axes, drawing.panels[1], drawing.load_label, f"{TIME_LABEL}, {BAND_LABEL}")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_tick)


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, which="major", color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, fontsize=8, frameon=False)


def _tick(value: float, _position: float) -> str:
    return f"{value:g}"


def _drawing(
    latencies: Mapping[str, NDArray[np.float64]],
    by_load: Mapping[str, Sequence[Load]],
    title: str,
    load_label: str,
    panels: tuple[str, str] = ("", ""),
) -> Drawing:
    names = list(dict.fromkeys([*latencies, *by_load]))
    curves = tuple(
        _curve(name, COLOURS[names.index(name) % len(COLOURS)], np.sort(seconds[np.isfinite(seconds)]))
        for name, seconds in latencies.items()
        if np.isfinite(seconds).any()
    )
    bands = tuple(
        _band(name, statistic, names.index(name), points) for name, points in by_load.items() if points
        for statistic in ("mean", "p99")
    )  # fmt: skip
    if not curves and not bands:
        raise SoonestError("nothing to draw: no request finished under any policy")
    return Drawing(title, curves, bands, load_label, panels)


def share_within(
    seconds: NDArray[np.float64], body: int = CURVE_POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of sorted times, the curve of what share of them lies within: seconds, and per cent.

    Thinned to `body` points, but the tail is whole; a 0, for which a logarithmic axis has no place, is drawn at the
    smallest time that is none.
    """
    n = len(seconds)
    rows = np.union1d(np.linspace(0, n - 1, min(n, body)).astype(np.int64), np.arange(max(0, n - TAIL_POINTS), n))
    positive = seconds[seconds > 0]
    return np.maximum(seconds[rows], positive[0] if len(positive) else 1.0), 100 * (rows + 1) / n


def _curve(name: str, colour: str, seconds: NDArray[np.float64]) -> Curve:
    shown, percent = share_within(seconds)
    return Curve(name, colour, shown, percent, float(seconds.mean()), float(np.percentile(seconds, 99)))


def _band(name: str, statistic: str, number: int, points: Sequence[Load]) -> Band:
    ordered = sorted(points, key=lambda point: point[0])
    values = [point[1] if statistic == "mean" else point[2] for point in ordered]
    mean = np.array([value.mean for value in values])
    width = np.array([value.half_width or 0.0 for value in values])
    return Band(
        name,
        statistic,
        COLOURS[number % len(COLOURS)],
        MARKERS[number % len(MARKERS)],
        np.array([point[0] for point in ordered]),
        mean,
        np.maximum(mean - width, mean / 100),  # a logarithmic axis ends above 0
        mean + width,
    )


def _pooled(values: NDArray[np.float64] | Sequence[Records]) -> NDArray[np.float64]:
    if isinstance(values, np.ndarray):
        return values
    return np.concatenate([measures.jct(records) for records in values]) if values else np.array([])

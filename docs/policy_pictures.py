"""One picture a policy of the same ten requests, from what benchmarks/policy_pictures.py wrote."""

from __future__ import annotations

import hashlib
import io
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from docs.measured import RESULTS

from soonest.report.study.markdown import DRAWN_FROM, drawn_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg

IMAGES = Path(__file__).parent / "images" / "policies"
DATA = RESULTS / "policy_pictures.json"
WAITS, RUNS, IN_VAIN = "#D3E2EE", "#0072B2", "#E69F00"
COLOURS_IN_ALL = 32
BESIDE = "fcfs"


def parts() -> dict[str, Callable[[str], str]]:
    """The generated part of each policy's page, which lies in a folder beside the images."""
    data = _read()
    return {f"picture-{name}": partial(_part, name, data) for name in data["policies"]}


def _part(name: str, data: dict[str, Any], _up: str) -> str:
    """The picture and how it was made."""
    evictions, lost = (sum(r[key] for r in data["policies"][name]["requests"]) for key in ("evictions", "tokens_lost"))
    conditions = (
        f"Memory for {data['memory_tokens']} tokens, {data['slots']} slots, {1000 * data['iteration_s']:.0f} ms an "
        "iteration; who is evicted starts anew."
    )
    said = [
        f"![Ten requests under {name}](../images/policies/{name}.png)",
        "The same few requests under every policy, in the simulator: what it does, not what it gains.",
        f"{conditions} Evictions: {evictions}, tokens lost: {lost}.",
    ]
    if name == "deadline":
        targets = ", ".join(f"{ask['ttft_target']:g}" for ask in data["asked"])
        said.append(f"Targets for the first token, in seconds from arrival: {targets}.")
    picture, *told = [*said, f"Made with: `{data['command']}`."]
    return f"{picture}\n\n{' '.join(told)}"


def charts() -> dict[str, dict[str, Any]]:
    """What each picture shows, by the policy's name."""
    data = _read()
    until = max(row["max_jct"] for row in data["policies"].values())
    asked = [[ask[key] for key in ("output", "low", "high")] for ask in data["asked"]]
    beside = "{mean_jct:.2f}, {p99_jct:.2f}, {max_jct:.2f} s".format_map(data["policies"][BESIDE])
    return {
        name: {
            "title": _title(name, row) + (f" ({BESIDE}: {beside})" if name != BESIDE else ""),
            "asked": asked,
            "requests": row["requests"],
            "until": until,
        }
        for name, row in data["policies"].items()
    }


def _title(name: str, row: dict[str, Any]) -> str:
    return f"{name}: mean {row['mean_jct']:.2f}, p99 {row['p99_jct']:.2f}, longest {row['max_jct']:.2f} s"


def _read() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
    return data


def stale() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Pictures that are not there, or show other data."""
    for name, chart in charts().items():
        path = IMAGES / f"{name}.png"
        if not path.exists() or drawn_from(path.read_bytes()) != _digest(chart):
            yield path, chart


def redraw() -> Iterator[Path]:
    """Draw what is stale and take away what shows no policy; the paths."""
    IMAGES.mkdir(exist_ok=True)
    for path, chart in stale():
        path.write_bytes(draw(chart))
        yield path
    for path in set(IMAGES.glob("*.png")) - {IMAGES / f"{name}.png" for name in charts()}:
        path.unlink()
        yield path


def draw(chart: dict[str, Any]) -> bytes:
    """A PNG by Matplotlib: one row a request, from its arrival to its end; it remembers the digest of the chart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - only where something is stale
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7.6, 3.2), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row, request in enumerate(chart["requests"]):
        arrival, finished = request["arrival"], request["finished"]
        axes.broken_barh([(arrival, finished - arrival)], (row - 0.32, 0.64), color=WAITS)
        *lost, last = [(start, end - start) for start, end in request["attempts"]]
        axes.broken_barh(lost, (row - 0.32, 0.64), color=IN_VAIN)
        axes.broken_barh([last], (row - 0.32, 0.64), color=RUNS)
    _finish(axes, chart)
    return _png(canvas, _digest(chart))


def _png(canvas: FigureCanvasAgg, digest: str) -> bytes:
    """In few colours, which makes the file a third as large."""
    from PIL import Image, PngImagePlugin  # noqa: PLC0415 - comes with Matplotlib

    canvas.draw()
    told = PngImagePlugin.PngInfo()
    told.add_text(DRAWN_FROM, digest)
    content = io.BytesIO()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    picture.quantize(COLOURS_IN_ALL, dither=Image.Dither.NONE).save(content, "PNG", pnginfo=told, optimize=True)
    return content.getvalue()


def _finish(axes: Axes, chart: dict[str, Any]) -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415 - as above

    axes.set_title(chart["title"], fontsize=9, loc="left", parse_math=False)
    axes.set_yticks(
        range(len(chart["asked"])),
        [f"{number}: {output} ({low}-{high})" for number, (output, low, high) in enumerate(chart["asked"], start=1)],
        fontsize=8,
    )
    axes.set_ylabel("request: tokens (forecast)", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, chart["until"] * 1.02)
    axes.set_xlabel("seconds", fontsize=8)
    axes.tick_params(labelsize=8, length=0)
    axes.grid(visible=True, axis="x", color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    marks = {"waits": WAITS, "runs": RUNS, "runs, is evicted, starts anew": IN_VAIN}
    axes.legend(
        handles=[Patch(color=colour, label=label) for label, colour in marks.items()],
        loc="lower right",
        fontsize=8,
        frameon=False,
    )


def _digest(chart: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(chart, sort_keys=True).encode()).hexdigest()

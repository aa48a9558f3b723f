"""What the map shows, in words, tables and charts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.report.study import Chart, Curve, Grid, Section
from soonest.studies.map.conditions import (
    BURSTINESS,
    LOADS,
    MEMORY,
    REQUESTS,
    SLOTS,
    TAUS,
    VARIATIONS,
    Condition,
    width,
)
from soonest.studies.map.runs import POLICIES
from soonest.studies.map.widths import HOLDERS, TAU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from soonest.studies.map.runs import Cell, Cells
    from soonest.studies.map.widths import Widths

USUAL: Final = 0.6
"""Kendall's tau of a forecast from the prompt, about."""
QUEUED: Final = (0.0, 0.01, 0.1, 0.3, 0.6, 1.0)
"""Edges of the share of the mean JCT that is waiting under `fcfs`."""
GAIN, P99, LOAD = "gain in mean JCT (%)", "p99 JCT, ratio to fcfs", "load"
BURSTY: Final = Condition(burstiness=BURSTINESS[-1])


def sections(cells: Cells, widths: Widths) -> list[Section]:
    """Of the study."""
    return [_answer(cells), _forecasts(cells), _conditions(cells), _memory(cells, widths)]


def _answer(cells: Cells) -> Section:
    """One table for all places by how much is waited, and one by how much lengths vary, too."""
    rows = []
    for low, high in pairwise(QUEUED):
        for policy in POLICIES:
            near = [c for c in _of(cells, policy, USUAL) if low <= c.mean("queued") < high]
            best = [c for c in _of(cells, policy, 1.0) if low <= c.mean("queued") < high]
            if near and best:
                share = f"{100 * low:.0f}-{100 * high:.0f} %"
                p99 = [c.mean("p99") for c in near]
                worst = [c.mean("longest") for c in near]
                rows.append((share, policy, len(near), _range(near), _range(best), _spread(p99), _spread(worst)))
    little = [c for c in _of(cells, "shortest", 1.0) if c.mean("queued") < QUEUED[1]]
    places = len({place for place, _, _ in cells})
    words: tuple[str, ...] = (
        _told(
            f"{places} places: every combination of load ({_list(LOADS)}), burstiness ({_list(BURSTINESS)}; 1 is",
            f"Poisson, less is burstier), slots ({_list(SLOTS)}), KV cache ({_list(MEMORY)} times what full slots hold",
            f"on average) and coefficient of variation of the answers' lengths ({_list(VARIATIONS)});",
            f"{REQUESTS} requests, then the drain.",
        ),
        _told(
            "How much is waited under `fcfs` can be read off an engine's own metrics before anything is changed: queue",
            "time over end-to-end latency.",
        ),
    )
    if little:
        share = f"{100 * QUEUED[1]:.0f} %"
        words += (f"Where less than {share} of the time is waiting, even true lengths gain {_range(little)} %.",)
    grid = Grid(
        f"Median over places, and its 10th to 90th percentile; forecasts with tau {USUAL} unless said",
        ("waiting under fcfs", "policy", "places", GAIN, "with true lengths", P99, "max JCT, ratio to fcfs"),
        tuple(rows),
    )
    varied = _varied(cells)
    grown, steps = _grows(varied)
    words += (
        f"From one row of variation to the next, with as much waiting, the median gain grows in {grown} of {steps}.",
    )
    return Section("When it helps", words, (grid, _by_variation(varied)))


def _varied(cells: Cells) -> list[list[list[float]]]:
    """Gains of `shortest` by variation of lengths, then by share of waiting."""
    usual = [(place, cell) for (place, name, tau), cell in cells.items() if name == "shortest" and tau == USUAL]
    return [
        [
            [c.gain.mean for place, c in usual if place.variation == level and low <= c.mean("queued") < high]
            for low, high in pairwise(QUEUED)
        ]
        for level in VARIATIONS
    ]


def _grows(varied: list[list[list[float]]]) -> tuple[int, int]:
    """Where lengths vary more and as much is waited, how often the median gain is larger, and of how many."""
    steps = [
        (float(np.median(less)), float(np.median(more)))
        for one, other in pairwise(varied)
        for less, more in zip(one, other, strict=True)
        if less and more
    ]
    return sum(more > less for less, more in steps), len(steps)


def _by_variation(varied: list[list[list[float]]]) -> Grid:
    shares = [f"{100 * low:.0f}-{100 * high:.0f} %" for low, high in pairwise(QUEUED)]
    rows = [
        (f"{level:g}", *(_spread(gains, ".1f") if gains else "" for gains in row))
        for level, row in zip(VARIATIONS, varied, strict=True)
    ]
    caption = f"Gain of `shortest` (%) by share of waiting: median and 10th to 90th percentile; tau {USUAL}"
    return Grid(caption, ("variation of lengths", *shares), tuple(rows))


def _forecasts(cells: Cells) -> Section:
    """Forecast quality."""
    by_load = [
        _curve(cells, f"tau {tau:g}", [(load, replace(BURSTY, load=load), tau) for load in LOADS]) for tau in TAUS
    ]
    p99 = [
        _curve(cells, f"tau {tau:g}", [(load, replace(BURSTY, load=load), tau) for load in LOADS], "p99")
        for tau in TAUS
    ]
    by_tau = [
        _curve(cells, f"load {load:g}", [(tau, replace(BURSTY, load=load), tau) for tau in TAUS]) for load in LOADS
    ]
    wrong = [_pm(cells[replace(BURSTY, load=load), "shortest", min(TAUS)]) for load in (0.9, 1.2)]
    words = _told(
        f"`shortest` under bursts (burstiness {BURSTY.burstiness:g}, 64 slots, ample memory, variation 1). A forecast",
        f"that ranks the wrong way round (tau {min(TAUS):g}) gains {wrong[0]} % at a load of 0.9 and {wrong[1]} % at",
        "1.2; one that knows nothing and says so is arrival order.",
    )
    charts = (
        Chart("Gain by load", LOAD, GAIN, tuple(by_load)),
        Chart("Gain by forecast quality", "Kendall's tau of the forecast", GAIN, tuple(by_tau)),
        Chart("What it costs at p99", LOAD, P99, tuple(p99)),
    )
    return Section("How good must a forecast be?", (words,), (), charts)


def _conditions(cells: Cells) -> Section:
    """One condition at a time."""
    families: tuple[tuple[str, str, tuple[float, ...], Callable[[float, float], Condition]], ...] = (
        ("burstiness", "burstiness", BURSTINESS, lambda load, level: Condition(load, burstiness=level)),
        ("slots", "slots", SLOTS, lambda load, level: replace(BURSTY, load=load, slots=int(level))),
        ("memory", "KV cache", MEMORY, lambda load, level: replace(BURSTY, load=load, memory=level)),
        ("variation", "variation", VARIATIONS, lambda load, level: replace(BURSTY, load=load, variation=level)),
    )
    charts = tuple(
        Chart(
            f"Gain by {name}",
            LOAD,
            GAIN,
            tuple(
                _curve(cells, f"{word} {level:g}", [(load, at(load, level), USUAL) for load in LOADS])
                for level in levels
            ),
        )
        for name, word, levels, at in families
    )
    words = _told(
        f"`shortest` with forecasts of tau {USUAL}; one condition is changed at a time (the first chart with the",
        "middle level of everything else, the others under bursts).",
    )
    return Section("Load, bursts, slots, memory, lengths", (words,), (), charts)


def _memory(cells: Cells, widths: Widths) -> Section:
    """Reserving, where memory binds: by forecast quality, and by width alone."""
    place = replace(BURSTY, memory=MEMORY[-1])
    rows = [
        (
            load,
            tau,
            f"{width(place.variation, tau):.3g}",
            *(value for policy in POLICIES for value in _numbers(cells[replace(place, load=load), policy, tau])),
        )
        for load in (0.9, 1.2)
        for tau in TAUS
        if tau >= 0
    ]
    headings = [word for policy in POLICIES for word in (f"{policy}: gain", "p99", "evictions a request")]
    words = _told(
        f"KV cache for {MEMORY[-1]:g} of the slots, bursts. `a_max` reserves the upper end of an interval, `a_min` and",
        "`least_area` start from the lower. In the second table forecasts rank as before, and only their intervals are",
        "narrower or wider than those that cover nine in ten.",
    )
    grid = Grid("Where memory binds", (LOAD, "tau", "high/low", *headings), tuple(rows))
    return Section("How narrow must an interval be?", (words,), (grid, _widths(widths)))


def _widths(widths: Widths) -> Grid:
    rows = [
        (
            place.load,
            stretch,
            f"{width(place.variation, TAU) ** stretch:.3g}",
            f"{100 * found.covered:.0f} %",
            *(value for policy in HOLDERS for value in _numbers(found.cells[policy])),
        )
        for (place, stretch), found in widths.items()
    ]
    headings = [word for policy in HOLDERS for word in (f"{policy}: gain", "p99", "evictions a request")]
    return Grid(f"Width alone, tau {TAU:g}", (LOAD, "width", "high/low", "covered", *headings), tuple(rows))


def _told(*lines: str) -> str:
    return " ".join(lines)


def _of(cells: Cells, policy: str, tau: float) -> list[Cell]:
    return [cell for (_, name, quality), cell in cells.items() if name == policy and quality == tau]


def _numbers(cell: Cell) -> tuple[str, float, float]:
    return _pm(cell), round(cell.mean("p99"), 3), round(cell.mean("evictions"), 3)


def _pm(cell: Cell) -> str:
    gain = cell.gain
    return f"{gain.mean:.1f}" if gain.half_width is None else f"{gain.mean:.1f} ± {gain.half_width:.1f}"


def _range(cells: Iterable[Cell]) -> str:
    return _spread([cell.gain.mean for cell in cells], ".1f")


def _spread(values: list[float], form: str = ".2f") -> str:
    low, middle, high = np.round(np.percentile(values, (10, 50, 90)), 2) + 0.0  # no minus before a zero
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def _list(levels: Iterable[float]) -> str:
    return ", ".join(f"{level:g}" for level in levels)


def _curve(cells: Cells, name: str, points: list[tuple[float, Condition, float]], measure: str = "gain") -> Curve:
    """`shortest` at these points: x, place and tau."""
    found = [cells[place, "shortest", tau] for _, place, tau in points]
    x = tuple(x for x, _, _ in points)
    if measure != "gain":
        return Curve(name, x, tuple(cell.mean(measure) for cell in found))
    gains = [cell.gain for cell in found]
    half = [gain.half_width or 0.0 for gain in gains]
    return Curve(
        name,
        x,
        tuple(gain.mean for gain in gains),
        tuple(gain.mean - h for gain, h in zip(gains, half, strict=True)),
        tuple(gain.mean + h for gain, h in zip(gains, half, strict=True)),
    )

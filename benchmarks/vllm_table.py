"""The table of `benchmarks/vllm_benefit.py`: what each arm gains, beside what the simulator said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from benchmarks.foretold import apart, shares_of

from soonest.report import paired_gain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

ARMS: Final[Mapping[str, tuple[str, bool]]] = {
    "fcfs": ("fcfs", False),
    "priority mode": ("priority", False),
    "shortest": ("shortest", False),
    "response_ratio(shortest)": ("response_ratio(shortest)", False),
    "a_min": ("a_min", False),
    "oracle": ("shortest", True),
}
"""A policy, or vLLM's own `priority` with the forecast as the priority; and whether it is told the truth."""
MEASURES: Final = ("mean", "p99", "max")
APART: Final = 10
"""Points by which a share of the oracle's gain may differ from the simulator's."""


def empty() -> dict[str, list[float]]:
    """Columns to come."""
    return {measure: [] for measure in (*MEASURES, "preemptions", "slowness")}


def note(columns: dict[str, list[float]], seconds: NDArray[np.float64]) -> None:
    """One run's figures into their columns."""
    values = seconds.mean(), np.quantile(seconds, 0.99), seconds.max()
    for measure, value in zip(MEASURES, values, strict=True):
        columns[measure].append(float(value))


def shares(rows: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """Which part of the oracle's gain over `fcfs` each arm has."""
    means = {name: rows[name]["mean"] for name in ARMS}
    return shares_of(means, range(len(means["fcfs"])), "oracle")


def compared(part: dict[str, Any], load: str) -> dict[str, Any]:
    """What the arms gain over `fcfs`, and how their shares of the oracle's gain stand beside what was foretold."""
    came, told = part["measured"][load], part["foretold"][load]
    means, expected = ({name: rows[name]["mean"] for name in ARMS} for rows in (came, told))
    measured = shares(came)
    found = {}
    for name in ARMS:
        gain = paired_gain(means[name], means["fcfs"])
        points = apart(name, means, expected, "oracle") if name in measured else None
        found[name] = {
            "gain_percent": gain.mean,
            "gain_half_width": gain.half_width,
            "share_of_oracle": measured.get(name),
            "foretold_share": told["share_of_oracle"].get(name),
            "points_apart": None if points is None else points.mean,
            "points_apart_half_width": None if points is None else points.half_width,
        }
    return found


def show(memory: str, part: dict[str, Any]) -> None:
    """A table a load, and whether what must hold does."""
    for load, rows in part["compared"].items():
        print(f"\n{memory} memory ({part['blocks']} blocks), load {load} of {part['capacity_rps']:.3g} requests/s\n")
        print("| policy | mean s | p99 s | max s | gain % | share of the oracle's | foretold | preemptions |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, row in rows.items():
            came = part["measured"][load][name]
            print(
                f"| `{name}` | {np.mean(came['mean']):.3f} | {np.mean(came['p99']):.3f} | {np.max(came['max']):.3f} "
                f"| {number(row['gain_percent'], 1)} +- {number(row['gain_half_width'], 1)} "
                f"| {number(row['share_of_oracle'], 2)} | {number(row['foretold_share'], 2)} "
                f"| {np.mean(came['preemptions']):.1f} |"
            )
    most = max(part["compared"], key=float)
    for name, row in part["compared"][most].items():
        if name != "fcfs":
            clear = row["gain_half_width"] is not None and row["gain_percent"] > row["gain_half_width"]
            near = row["points_apart"] is not None and abs(row["points_apart"]) <= APART
            print(f"{name} at {most}: interval above 0: {clear}; within {APART} points of the simulator: {near}")


def number(value: float | None, digits: int) -> str:
    """Nothing where there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"

"""The page of fleets: its tables, sentences and pictures, from what `benchmarks/fleets.py` wrote."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, Final

from docs.measured import RESULTS, table

from soonest.report.study import Chart, Curve
from soonest.sim.fleet import ROUTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


Row = dict[str, Any]
CHOICE, ORDER, FIRST = "least_requests", "shortest", "round_robin"
"""The headline compares this choice and this order, each alone, with arrival order behind this router."""
SHOWN, PICTURED = 4, (0.9, 1.2)
"""The fleet whose every row stands on the page, and the loads that are drawn."""
SPEEDS: Final = {"equal": "equal replicas", "uneven": "every fourth replica at half speed"}


def parts() -> dict[str, Callable[[str], str]]:
    """The generated parts of the page."""
    return {
        "fleet-routers": routers,
        "fleet-crossings": crossings,
        "fleet-gains": gains,
        "fleet-rows": rows,
        "fleet-scarce": scarce,
        "fleet-gateways": gateways,
        "fleet-prefixes": prefixes,
    }


def read() -> dict[str, Any]:
    """All that was measured."""
    found: dict[str, Any] = json.loads((RESULTS / "fleets.json").read_text(encoding="utf-8"))
    return found


def routers(_up: str) -> str:
    """Every router with its sentence."""
    return table(
        ("router", "where a request goes"), ((f"`{name}`", inspect.getdoc(f) or "") for name, f in ROUTERS.items())
    )


def pick(speeds: str, load: float, replicas: int, queueing: str, order: str) -> Row:
    """One row; a fleet of one has one queue."""
    where = {"speeds": speeds, "load": load, "replicas": replicas, "queueing": queueing, "order": order}
    return next(row for row in read()["rows"] if where.items() <= row.items())


def places() -> Iterator[tuple[str, float, int]]:
    """Speeds, loads and sizes of fleets, as they were run."""
    seen = {(row["speeds"], row["load"], row["replicas"]): None for row in read()["rows"] if row["replicas"] > 1}
    return iter(sorted(seen))


def verdict(speeds: str, load: float, replicas: int) -> str:
    """Which gains more alone, if the confidence intervals of the two gains do not meet."""
    choice, order = (pick(speeds, load, replicas, *words) for words in ((CHOICE, "fcfs"), (FIRST, ORDER)))
    if abs(choice["gain"] - order["gain"]) <= choice["gain_ci"] + order["gain_ci"]:
        return "not sure"
    return "the choice" if choice["gain"] > order["gain"] else "the order"


def crossings(_up: str) -> str:
    """From which size on the choice matters more, by load."""
    verdicts: dict[tuple[str, float], dict[int, str]] = {}
    for speeds, load, replicas in places():
        verdicts.setdefault((speeds, load), {})[replicas] = verdict(speeds, load, replicas)
    return "\n".join(
        f"- Load {load:g}, {SPEEDS[speeds]}: {_crossing(by_size)}" for (speeds, load), by_size in verdicts.items()
    )


def _crossing(by_size: dict[int, str]) -> str:
    sizes = sorted(by_size)
    first = next((s for s in sizes if all(by_size[t] == "the choice" for t in sizes if t >= s)), None)
    if first is not None:
        return f"the choice matters more from {first} replicas on."
    if all(said == "the order" for said in by_size.values()):
        return f"the order matters more up to {sizes[-1]} replicas."
    return "; ".join(f"{size} replicas: {by_size[size]}" for size in sizes) + "."


def gains(_up: str) -> str:
    """The choice alone, the order alone, and both."""
    ways = (f"{way} gain %" for way in ("choice alone:", "order alone:", "both:"))
    heads = ["replicas", "load", "speeds", *(h for way in ways for h in (way, "p99", "max")), "what matters more"]
    cells = []
    for speeds, load, replicas in places():
        base = pick(speeds, load, replicas, FIRST, "fcfs")
        found = [pick(speeds, load, replicas, *w) for w in ((CHOICE, "fcfs"), (FIRST, ORDER), (CHOICE, ORDER))]
        said = [cell for row in found for cell in (_gain(row), *_tails(row, base))]
        cells.append((str(replicas), f"{load:g}", speeds, *said, verdict(speeds, load, replicas)))
    return table(heads, cells)


def _gain(row: Row) -> str:
    return f"{round(row['gain'], 1) + 0.0:+.1f} ±{row['gain_ci']:.1f}"


def _tails(row: Row, base: Row) -> tuple[str, str]:
    return f"{row['p99_jct'] / base['p99_jct']:.2f}", f"{row['max_jct'] / base['max_jct']:.2f}"


def _seconds(row: Row) -> tuple[str, str, str]:
    return f"{row['mean_jct']:.2f} ±{row['mean_jct_ci']:.2f}", f"{row['p99_jct']:.1f}", f"{row['max_jct']:.1f}"


def rows(_up: str) -> str:
    """Every router and order at one size, equal beside uneven."""
    heads = ("load", "router", "order", "mean JCT s", "p99", "max", "uneven: mean JCT s", "p99", "max")
    equal = [r for r in read()["rows"] if r["replicas"] == SHOWN and r["speeds"] == "equal"]
    cells = (
        (
            f"{row['load']:g}",
            row["queueing"],
            row["order"],
            *_seconds(row),
            *_seconds(pick("uneven", row["load"], SHOWN, row["queueing"], row["order"])),
        )
        for row in equal
    )
    return table(heads, cells)


def scarce(_up: str) -> str:
    """What to count at a replica, by what it has little of: gains over Ray's default with the same order."""
    found = read()["scarce"]
    names = list(dict.fromkeys(row["queueing"] for row in found))
    cases: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in found:
        memory = "no limit" if row["memory"] is None else f"{row['memory']:,}"
        case = tuple(map(str, (row["slots"], memory, row["speeds"], f"{row['load']:g}", row["order"])))
        cases.setdefault(case, {})[row["queueing"]] = row
    heads = ["slots", "memory", "speeds", "load", "order", f"`{names[0]}`: mean JCT s", "p99", "max"]
    heads += [head for name in names[1:] for head in (f"`{name}`: gain %", "p99", "max")]
    rows = []
    for case, by_name in cases.items():
        base, *rest = (by_name[name] for name in names)
        rows.append((*case, *_seconds(base), *(cell for row in rest for cell in (_gain(row), *_tails(row, base)))))
    return table(heads, rows)


def gateways(_up: str) -> str:
    """One queue, and several."""
    heads = ("load", "queues", "order", "mean JCT s", "p99", "max", "gain %")
    return table(
        heads, ((f"{r['load']:g}", r["queueing"], r["order"], *_seconds(r), _gain(r)) for r in read()["gateways"])
    )


def prefixes(_up: str) -> str:
    """Where prompts begin alike."""
    heads = ("replicas", "load", "router", "order", "mean JCT s", "p99", "max", "p99 TTFT s", "gain %")
    return table(
        heads,
        (
            (
                str(r["replicas"]),
                f"{r['load']:g}",
                r["queueing"],
                r["order"],
                *_seconds(r),
                f"{r['p99_ttft']:.2f}",
                _gain(r),
            )
            for r in read()["prefixes"]
        ),
    )


def pictures(images: Path) -> Iterator[tuple[Path, Chart]]:
    """Gain by fleet size, a picture a load, and the chart that each should show."""
    for load in PICTURED:
        ways = {f"choice: {name}": (name, "fcfs") for name in (CHOICE, "power_of_two", "least_expected_tokens")}
        ways |= {f"order: {ORDER}": (FIRST, ORDER), f"both: {CHOICE}, {ORDER}": (CHOICE, ORDER)}
        sizes = [replicas for speeds, at, replicas in places() if (speeds, at) == ("equal", load)]
        curves = tuple(_curve(name, load, sizes, *words) for name, words in ways.items())
        title = f"Gain in mean JCT at load {load:g}, equal replicas"
        chart = Chart(title, "replicas", f"% of {FIRST}, fcfs", curves)
        yield images / f"fleets-load-{load:g}.png", chart


def _curve(name: str, load: float, sizes: list[int], queueing: str, order: str) -> Curve:
    """With its confidence band, if it is one of the two that are compared."""
    found = [pick("equal", load, size, queueing, order) for size in sizes]
    gain, half = [row["gain"] for row in found], [row["gain_ci"] for row in found]
    at = tuple(map(float, sizes))
    if (queueing, order) not in {(CHOICE, "fcfs"), (FIRST, ORDER)}:
        return Curve(name, at, tuple(gain))
    low = tuple(g - h for g, h in zip(gain, half, strict=True))
    high = tuple(g + h for g, h in zip(gain, half, strict=True))
    return Curve(name, at, tuple(gain), low, high)

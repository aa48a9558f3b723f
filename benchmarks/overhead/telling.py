"""What was measured, as rows, as a table, and beside what was to be reached."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.overhead import stand

JUDGED: Final = ("soonest", "forecasts")
Rows = dict[str, dict[str, object]]


@dataclass(slots=True)
class Arm:
    """One way to the engine, and what was measured there; a number for each repetition."""

    name: str
    meaning: str
    process: stand.Process
    gateway: bool = True
    seen: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """One repetition."""
        self.seen.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Over repetitions."""
        return statistics.median(self.seen[name])


def shown(found: Sequence[Arm], rows: Rows) -> Iterator[str]:
    """The table, for people and for the page."""
    head = (
        "",
        "requests/s",
        "of bare",
        "CPU us",
        "chunks/s",
        "of bare",
        "CPU us",
        "added p50 ms",
        "p99",
        "first chunk",
    )
    yield "| " + " | ".join((*head, "alone: CPU us")) + " |"
    yield "|---" * (len(head) + 1) + "|"
    for arm in found:
        row = rows[arm.name]
        names = (
            "requests_a_second",
            "requests_of_bare",
            "requests_cpu_us",
            "chunks_a_second",
            "chunks_of_bare",
            "chunks_cpu_us",
            "added_p50_ms",
            "added_p99_ms",
            "added_first_chunk_ms",
            "alone_cpu_us",
        )
        yield f"| {arm.name} | " + " | ".join("" if row.get(n) is None else f"{row[n]:,}" for n in names) + " |"


def rows_of(found: Sequence[Arm], chunk: int) -> Rows:
    """Medians, and how they stand to direct and to the bare pass-through; `chunk` is how many events a stream has."""
    by_name = {arm.name: arm for arm in found}
    direct, bare = by_name["direct"], by_name["bare"]
    rows: Rows = {}
    for arm in found:
        row: dict[str, object] = {"meaning": arm.meaning}
        row["requests_a_second"] = round(arm.median("requests_a_second"))
        row["requests_of_bare"] = round(paired(arm, bare, "requests_a_second"), 3)
        row["chunks_a_second"] = round(chunk * arm.median("streams_a_second"))
        row["chunks_of_bare"] = round(paired(arm, bare, "streams_a_second"), 3)
        row["engine_core_percent"] = round(100 * arm.median("requests_engine_core"))
        if arm.gateway:
            row["requests_cpu_us"] = round(arm.median("requests_cpu_us"), 1)
            row["chunks_cpu_us"] = round(arm.median("streams_cpu_us") / chunk, 2)
        if "alone_cpu_us" in arm.seen:
            row["alone_cpu_us"] = round(arm.median("alone_cpu_us"), 1)
        for name in ("p50_ms", "p99_ms"):
            row[f"added_{name}"] = round(arm.median(f"paced_{name}") - direct.median(f"paced_{name}"), 3)
        row["added_first_chunk_ms"] = round(arm.median("first_ms") - direct.median("first_ms"), 3)
        row["repetitions"] = {name: [round(v, 4) for v in values] for name, values in arm.seen.items()}
        rows[arm.name] = row
    return rows


def paired(arm: Arm, other: Arm, name: str) -> float:
    """The median ratio within a repetition."""
    return statistics.median(a / b for a, b in zip(arm.seen[name], other.seen[name], strict=True))


def judged(rows: Rows, queue: Sequence[Mapping[str, object]], gates: Rows, rate: float) -> list[dict[str, object]]:
    """What was to be reached, and whether it is."""

    def number(row: Mapping[str, object], name: str) -> float:
        return float(str(row[name]))

    found: list[dict[str, object]] = []
    for name in JUDGED:
        row = rows[name]
        latency = number(row, "added_p50_ms")
        found.append(verdict(f"{name}: added p50 in ms at {rate:.0f} requests/s", latency, 1.0))
        for what in ("requests", "chunks"):
            share = number(row, f"{what}_of_bare")
            found.append(verdict(f"{name}: {what}/s of the bare pass-through's", share, 0.6, least=True))
    for line in queue:
        worst = max(number(line, name) for name in ("push_us", "pop_us", "cancel_us"))
        what = f"{line['policy']}, {line['expectations']} expectations: slowest queue operation in us"
        found.append(verdict(what, worst, 20.0))
    for name in ("fixed", "learned"):
        loss = number(gates[name], "loss_percent")
        found.append(verdict(f"gate, {name} limit: percent of throughput lost", loss, 3.0))
    return found


def verdict(what: str, measured: float, target: float, *, least: bool = False) -> dict[str, object]:
    """One target; it is the most that may be, or the least that must."""
    reached = measured >= target if least else measured <= target
    return {"what": what, "at_least" if least else "at_most": target, "measured": measured, "reached": reached}

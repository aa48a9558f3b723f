"""Several policies side by side, with what a mean hides beside every mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from soonest.core import SoonestError
from soonest.report.catalogue import MEASURES
from soonest.report.compare import Interval, interval, paired_gain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from soonest.report.summary import Summary

NEGLIGIBLE_QUEUEING = 0.01
NOTHING_QUEUED = "Almost nothing queued, so order changes nothing."


@dataclass(frozen=True, slots=True)
class Row:
    """One policy: what `summarise` said of each repetition, in the same order for every policy.

    Raises:
        SoonestError: there is no repetition.
    """

    policy: str
    repetitions: Sequence[Summary]

    def __post_init__(self) -> None:
        if not self.repetitions:
            raise SoonestError(f"policy {self.policy!r} has no repetition to show")

    def values(self, key: str) -> list[float]:
        """A number in each repetition; `nan` where nobody knows it."""
        found = (summary.get(key) for summary in self.repetitions)
        return [math.nan if value is None else float(value) for value in found]

    def mean(self, key: str) -> float:
        """The mean over repetitions."""
        return interval(self.values(key)).mean


class _Column(NamedTuple):
    heading: str
    measure: str
    key: str
    scale: float = 1e-3  # milliseconds are shown as seconds
    worst: bool = False  # the largest over all repetitions, else their mean


_COLUMNS = (
    _Column("mean\nJCT s", "jct", "mean_e2el_ms"),
    _Column("p50\nJCT s", "jct", "median_e2el_ms"),
    _Column("p99\nJCT s", "jct", "p99_e2el_ms"),
    _Column("max\nJCT s", "jct", "max_e2el_ms", worst=True),
    _Column("p99\nTTFT s", "ttft", "p99_ttft_ms"),
    _Column("max\nwait s", "max_wait", "max_queue_ms", worst=True),
    _Column("req/s", "request_throughput", "request_throughput", 1),
    _Column("preempted\n%", "preempted", "preempted_percent", 1),
)
_GOODPUT = _Column("goodput\nreq/s", "goodput", "request_goodput", 1)
"""Shown where somebody stated SLOs."""


def comparison_table(
    rows: Sequence[Row], baseline: str | None = None, *, width: int | None = None, legend: bool = True
) -> Table:
    """The comparison as a Rich table in pipes, readable in a file as well; the footer is its caption.

    Gains are against `baseline`, the first policy if not named. Where it would not fit `width`, it does without spaces
    beside the pipes; cells that still do not fit are folded, never cut. Without `legend` the caption is the remarks.

    Raises:
        SoonestError: there is no row, the baseline is none of them, or repetitions differ in number.
    """
    from rich.box import MARKDOWN  # noqa: PLC0415 - a program that prints no table loads no Rich
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    lines = _cells(rows, _baseline(rows, baseline))
    widths = [max(len(part) for cell in column for part in cell.split("\n")) for column in zip(*lines, strict=True)]
    padding = 0 if width is not None and sum(widths) + 3 * len(widths) + 1 > width else 1
    table = Table(
        box=MARKDOWN,
        padding=(0, padding),
        caption=Text(footer(rows, baseline, legend=legend)),
        caption_justify="left",
        highlight=False,
    )
    for number, heading in enumerate(lines[0]):
        table.add_column(Text(heading), justify="right" if number else "left", overflow="fold")
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    return table


def to_markdown(rows: Sequence[Row], baseline: str | None = None, *, legend: bool = True) -> str:
    """The comparison as a Markdown table, its footer beneath; without `legend` only the remarks.

    Raises:
        SoonestError: as `comparison_table`.
    """
    lines = [[cell.replace("|", "\\|") for cell in line] for line in cells(rows, baseline)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in (lines[0], ruler, *lines[1:])
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in padded)
    notes = "\n".join(f"- {line}" for line in footer(rows, baseline, legend=legend).splitlines())
    return f"{table}\n\n{notes}\n" if notes else f"{table}\n"


def cells(rows: Sequence[Row], baseline: str | None = None) -> list[list[str]]:
    """The comparison as text, its headings first; a heading's lines are separated by spaces.

    Raises:
        SoonestError: as `comparison_table`.
    """
    heads, *lines = _cells(rows, _baseline(rows, baseline))
    return [[head.replace("\n", " ") for head in heads], *lines]


def footer(rows: Sequence[Row], baseline: str | None = None, *, legend: bool = True) -> str:
    """The legend, which is the same for tables of the same run, then the remarks on these very rows; one line each.

    The legend says what the columns mean and how sure the gain is, the remarks what the numbers leave out.

    Raises:
        SoonestError: as `comparison_table`.
    """
    base = _baseline(rows, baseline)
    return "\n".join([*(_legend(rows, base) if legend else ()), *_remarks(rows, base)])


def _legend(rows: Sequence[Row], base: Row) -> Iterator[str]:
    shown = dict.fromkeys(column.measure for column in _columns(rows))
    formulas = (f"{m.label} = {m.formula} ({m.unit})" for m in (MEASURES[name] for name in shown))
    repetitions = len(base.repetitions)
    yield "; ".join(formulas) + "."
    gain = f"gain = 100 (1 - mean JCT / mean JCT of {base.policy})"
    if repetitions == 1:
        yield f"{gain}; one repetition, so how sure it is is unknown."
    else:
        yield (
            f"{gain}, repetition by repetition: mean ± half-width of its 95 % confidence interval (Student's t); "
            "one that holds 0 shows no difference."
        )
        yield f"max is the largest of {repetitions} repetitions, every other number their mean."


def _remarks(rows: Sequence[Row], base: Row) -> Iterator[str]:
    for row in rows:
        missing, arrived = sum(row.values("failed")), sum(row.values("failed") + row.values("completed"))
        if missing:
            yield f"{row.policy}: {missing:.0f} of {arrived:.0f} requests did not finish and are in no latency."
    if base.mean("mean_queue_ms") < NEGLIGIBLE_QUEUEING * base.mean("mean_e2el_ms"):
        yield NOTHING_QUEUED


def _columns(rows: Sequence[Row]) -> tuple[_Column, ...]:
    stated = any(math.isfinite(value) for row in rows for value in row.values(_GOODPUT.key))
    return (*_COLUMNS, _GOODPUT) if stated else _COLUMNS


def _baseline(rows: Sequence[Row], name: str | None) -> Row:
    if not rows:
        raise SoonestError("a comparison needs at least one policy")
    for row in rows:
        if name in {None, row.policy}:
            return row
    raise SoonestError(f"no baseline {name!r} in the table; policies: {', '.join(row.policy for row in rows)}")


def _cells(rows: Sequence[Row], base: Row) -> list[list[str]]:
    columns = _columns(rows)
    first, *others = columns
    lines = [["policy", first.heading, "gain\n%", *(column.heading for column in others)]]
    for row in rows:
        gain = paired_gain(row.values(first.key), base.values(first.key))
        numbers = [three_digits(_number(row, column)) for column in columns]
        lines.append([row.policy, numbers[0], "" if row is base else _gain(gain), *numbers[1:]])
    return lines


def _number(row: Row, column: _Column) -> float:
    values = row.values(column.key)
    return column.scale * float(np.max(values) if column.worst else np.mean(values))


def _gain(gain: Interval) -> str:
    if not math.isfinite(gain.mean):
        return three_digits(gain.mean)
    mean = round(gain.mean, 2)  # a hundredth of a per cent is noise
    text = f"{'+' if mean > 0 else ''}{three_digits(mean)}"
    return text if gain.half_width is None else f"{text} ±{three_digits(round(gain.half_width, 2))}"


def three_digits(number: float) -> str:
    """A number with three significant digits, without an exponent unless it is huge or tiny; `-` if unknown."""
    if not math.isfinite(number):
        return "-"
    if number == 0:
        return "0"
    rounded = float(f"{number:.3g}")
    if not 1e-4 <= abs(rounded) < 1e9:
        return f"{number:.2e}"
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"

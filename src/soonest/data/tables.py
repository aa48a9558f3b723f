"""Traces kept as CSV: Azure, BurstGPT, vidur, published predictions, and plain columns."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from soonest.core import TraceError
from soonest.data.source import Choice, Columns, dates, gather, opened, times, whole, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from soonest.data.source import Place
    from soonest.data.trace import Trace


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds what; "" where the format has no such column. A file may lack the `spare` ones."""

    output: str
    prompt: str = ""
    arrival: str = ""
    dated: bool = False
    model: str = ""
    predicted: str = ""
    tenant: str = ""
    spare: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that a file of this format has."""
        named = (self.arrival, self.prompt, self.output, self.model, self.predicted, self.tenant)
        return tuple(name for name in named if name and name not in self.spare)


LAYOUTS: Mapping[str, Layout] = {
    "azure": Layout(arrival="TIMESTAMP", dated=True, prompt="ContextTokens", output="GeneratedTokens"),
    "burstgpt": Layout(arrival="Timestamp", prompt="Request tokens", output="Response tokens", model="Model"),
    "vidur": Layout(arrival="arrived_at", prompt="num_prefill_tokens", output="num_decode_tokens"),
    "csv": Layout(
        arrival="timestamp_s",
        prompt="prompt_tokens",
        output="output_tokens",
        tenant="client_id",
        predicted="predicted",
        spare=("client_id", "predicted"),
    ),
    "predictions": Layout(output="output_tokens", predicted="pred_class5"),
}


def header_format(header: Sequence[str]) -> str | None:
    """The format with this header, if any."""
    return next((name for name, layout in LAYOUTS.items() if set(layout.required) <= set(header)), None)


def split_header(line: str) -> list[str]:
    """The column names in a header line."""
    return [name.strip() for name in next(csv.reader([line]), [])]


def read_table(path: Path, layout: Layout, limit: int | None, model: str | None) -> Trace:
    """A trace from a CSV file of this layout."""
    if model is not None and not layout.model:
        raise TraceError(f"{path}: this format names no models: leave out model={model!r}")
    with opened(path) as text:
        rows = _rows(path, text)
        _, names = next(rows, (1, []))
        header = [name.strip() for name in names]
        missing = [name for name in layout.required if name not in header]
        if missing:
            raise TraceError(f"{path}, line 1: column {missing[0]!r} is missing; the header is {', '.join(header)}")

        def columns(place: Place, cells: Sequence[Sequence[str]]) -> Columns:
            return _columns(place, cells, header, layout, choice)

        choice = Choice(model)
        return gather(path, rows, columns, limit, choice)


def _rows(path: Path, text: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers; blank lines are passed over."""
    reader = csv.reader(text, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise TraceError(f"{path}, line {reader.line_num}: {error}") from error


def _columns(
    place: Place, cells: Sequence[Sequence[str]], header: Sequence[str], layout: Layout, choice: Choice
) -> Columns:
    """One batch of rows as checked columns."""
    if {len(row) for row in cells} != {len(header)}:
        row = next(i for i, row in enumerate(cells) if len(row) != len(header))
        column = header[min(len(cells[row]), len(header) - 1)]
        raise place.wrong(row, column, f"the row has {len(cells[row])} values and the header {len(header)} columns")
    by_name = dict(zip(header, zip(*cells, strict=True), strict=True))

    def cell(name: str) -> tuple[str, ...] | None:
        return by_name.get(name) if name else None

    arrival, prompt, predicted, tenant = map(cell, (layout.arrival, layout.prompt, layout.predicted, layout.tenant))
    return Columns(
        output=whole(place, layout.output, by_name[layout.output]),
        prompt=None if prompt is None else whole(place, layout.prompt, prompt),
        arrival=None if arrival is None else (dates if layout.dated else times)(place, layout.arrival, arrival),
        clock=layout.arrival,
        tenant=None if tenant is None else words(place, layout.tenant, tenant),
        predicted=None if predicted is None else whole(place, layout.predicted, predicted, low=-1),
        chosen=choice.rows(by_name[layout.model]) if layout.model else None,
    )

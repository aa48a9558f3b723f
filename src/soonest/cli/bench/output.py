"""What `soonest bench` leaves behind: a report or a table, JSON, CSV files."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from soonest.bench import Comparison


def show(comparison: Comparison, title: str, *, markdown: bool) -> None:
    """A single run in vLLM's form; several as a table for each load, what it leaves out beneath."""
    from soonest.bench.printing import remarks, report

    runs = comparison.runs
    if len(runs) == 1:
        typer.echo(report(runs[0].summary))
    else:
        loads = comparison.loads or (None,)
        for number, load in enumerate(loads, start=1):
            _table(comparison, load, title, markdown=markdown, legend=number == len(loads))
    for contender in comparison.contenders:
        its = [run for run in runs if run.label == contender.label]
        for line in remarks(contender.label, its, comparison.late_share):
            typer.echo(line)
    if not runs:
        typer.echo("interrupted before the first run ended: nothing to show", err=True)


def _table(comparison: Comparison, load: float | None, title: str, *, markdown: bool, legend: bool) -> None:
    from rich.console import Console

    from soonest.bench.printing import oracle_gains, oracle_shares
    from soonest.report import comparison_table, to_markdown

    rows = comparison.rows(load)
    if not rows:
        return
    run = next(run for run in comparison.runs if run.load == load)
    pace = "all at once" if run.rate == float("inf") else f"{run.rate:.3g} req/s"
    share = "" if load is None else f"load {load:g} of {comparison.capacity:.3g} req/s; "
    heading = f"{len(run.ran.answers):,} requests of {title}; {share}{pace}; {len(rows[0].repetitions)} repetitions"
    if markdown:
        typer.echo(f"{heading}\n\n{to_markdown(rows, legend=legend)}")
    else:
        console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
        table = comparison_table(rows, width=console.width, legend=legend)
        console.print(heading, table, sep="\n\n", end="\n\n", markup=False)
    if left_out := comparison.unpaired(load):
        typer.echo(
            f"{left_out} requests failed in some policy's run: latencies and gains above are without them in all."
        )
    told = ", ".join(f"{label} {part:.0%}" for label, part in list(oracle_shares(comparison, load).items())[1:])
    if told and not oracle_gains(comparison, load):
        told += "; but its own gain is not told from chance: more requests or repetitions would"
    if told:
        typer.echo(f"share of the oracle's gain: {told}")


def document(comparison: Comparison, conditions: Mapping[str, object], *, detailed: bool) -> dict[str, object]:
    """The command, versions, the machine, conditions and every run, for JSON."""
    from soonest.bench.printing import flat, machine, versions

    return {
        "command": command(sys.argv[1:]),
        "versions": versions(),
        "machine": machine(),
        "conditions": {**conditions, "capacity": comparison.capacity, "interrupted": comparison.interrupted},
        "runs": [{**flat(run), **(run.ran.details() if detailed else {})} for run in comparison.runs],
    }


def write_records(folder: Path, comparison: Comparison) -> None:
    """A CSV of requests for each run."""
    from soonest.report import write_csv

    folder.mkdir(parents=True, exist_ok=True)
    for run in comparison.runs:
        load = "" if run.load is None else f"-load{run.load:g}"
        write_csv(folder / f"{run.label.replace('/', '_')}{load}-{run.repetition}.csv", run.ran.records)


def command(words: list[str]) -> str:
    """The command without a secret."""
    shown = list(words)
    for number, word in enumerate(words):
        if word == "--api-key" and number + 1 < len(words):
            shown[number + 1] = "..."
        elif word.startswith("--api-key="):
            shown[number] = "--api-key=..."
    return shlex.join(["soonest", *shown])

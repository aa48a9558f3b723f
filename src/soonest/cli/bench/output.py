"""What `soonest bench` leaves behind: a report or a table, JSON, CSV files, a page."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from soonest.bench import Comparison


def show(comparison: Comparison, title: str, *, markdown: bool) -> None:
    """A single run in vLLM's form; several as a table for each load, what it leaves out beneath."""
    from soonest.bench.printing import report

    runs = comparison.runs
    if len(runs) == 1:
        typer.echo(report(runs[0].summary))
    else:
        loads = comparison.loads or (None,)
        for number, load in enumerate(loads, start=1):
            _table(comparison, load, title, markdown=markdown, legend=number == len(loads))
    for line in _remarks(comparison):
        typer.echo(line)
    if not runs:
        typer.echo("interrupted before the first run ended: nothing to show", err=True)


def _table(comparison: Comparison, load: float | None, title: str, *, markdown: bool, legend: bool) -> None:
    from rich.console import Console

    from soonest.report import comparison_table, to_markdown

    rows = comparison.rows(load)
    if not rows:
        return
    heading = _heading(comparison, load, title)
    if markdown:
        typer.echo(f"{heading}\n\n{to_markdown(rows, legend=legend)}")
    else:
        console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
        table = comparison_table(rows, width=console.width, legend=legend)
        console.print(heading, table, sep="\n\n", end="\n\n", markup=False)
    for line in _beneath(comparison, load):
        typer.echo(line)


def _heading(comparison: Comparison, load: float | None, title: str) -> str:
    run = next(run for run in comparison.runs if run.load == load)
    pace = "all at once" if run.rate == float("inf") else f"{run.rate:.3g} req/s"
    share = "" if load is None else f"load {load:g} of {comparison.capacity:.3g} req/s; "
    several = len(next(iter(comparison.paired(load).values())))
    return f"{len(run.ran.answers):,} requests of {title}; {share}{pace}; {several} repetitions"


def _beneath(comparison: Comparison, load: float | None) -> Iterator[str]:
    """What is said beneath the table of a load."""
    from soonest.bench.printing import oracle_gains, oracle_shares

    if left_out := comparison.unpaired(load):
        yield f"{left_out} requests failed in some policy's run: latencies and gains above are without them in all."
    told = ", ".join(f"{label} {part:.0%}" for label, part in list(oracle_shares(comparison, load).items())[1:])
    if told and not oracle_gains(comparison, load):
        told += "; but its own gain is not told from chance: more requests or repetitions would"
    if told:
        yield f"share of the oracle's gain: {told}"


def _remarks(comparison: Comparison) -> Iterator[str]:
    """What the numbers of each contender leave out, at all loads."""
    from soonest.bench.printing import remarks

    for contender in comparison.contenders:
        its = [run for run in comparison.runs if run.label == contender.label]
        yield from remarks(contender.label, its, comparison.late_share)


def write_page(path: Path, comparison: Comparison, title: str, conditions: Mapping[str, object], began: float) -> None:
    """All of it on one page: a section for each load, and all loads beside each other; whole repetitions only."""
    from soonest.bench.printing import versions
    from soonest.report.study import Section, Study, compared
    from soonest.report.study.html import write_page
    from soonest.report.study.origin import command, machine

    rows = {load: found for load in comparison.loads or (None,) if (found := comparison.rows(load))}
    titles = {load: _heading(comparison, load, title) for load in rows}
    sections = [
        compared.comparison(
            titles[load],
            found,
            {label: [ran.records for ran in several] for label, several in comparison.paired(load).items()},
            list(_beneath(comparison, load)),
            legend=load == list(rows)[-1],
        )
        for load, found in rows.items()
    ]
    if len(by_load := {load: found for load, found in rows.items() if load is not None}) > 1:
        sections.append(compared.against_load(by_load))
    if rows:
        sections.append(compared.every_measure({titles[load]: found for load, found in rows.items()}))
    if left_out := list(_remarks(comparison)):
        sections.append(Section("What the numbers leave out", tuple(left_out)))
    seconds = round(time.monotonic() - began, 1)
    study = Study(
        "bench",
        f"Measured: {title}",
        command(sys.argv[1:]),
        comparison.plan.seed,
        versions(),
        machine(),
        seconds,
        (
            *sections,
            compared.conditions({**conditions, "capacity": comparison.capacity, "interrupted": comparison.interrupted}),
        ),
    )
    write_page(path, [study])
    typer.echo(f"wrote {path}", err=True)


def document(comparison: Comparison, conditions: Mapping[str, object], *, detailed: bool) -> dict[str, object]:
    """The command, versions, the machine, conditions and every run, for JSON."""
    from soonest.bench.printing import flat, machine, versions
    from soonest.report.study.origin import command

    return {
        "command": command(sys.argv[1:]),
        "versions": versions(),
        "machine": machine(),
        "conditions": _all(conditions, comparison),
        "runs": [{**flat(run), **(run.ran.details() if detailed else {})} for run in comparison.runs],
    }


def _all(conditions: Mapping[str, object], comparison: Comparison) -> dict[str, object]:
    """What was set, and what was found before the first run."""
    return {**conditions, "capacity": comparison.capacity, "interrupted": comparison.interrupted}


def write_records(folder: Path, comparison: Comparison) -> None:
    """A CSV of requests for each run."""
    from soonest.report import write_csv

    folder.mkdir(parents=True, exist_ok=True)
    for run in comparison.runs:
        load = "" if run.load is None else f"-load{run.load:g}"
        write_csv(folder / f"{run.label.replace('/', '_')}{load}-{run.repetition}.csv", run.ran.records)

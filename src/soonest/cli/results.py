"""What `soonest sim` leaves behind: tables, a JSON document, CSV files, a plot, a page."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soonest.cluster import Cluster
    from soonest.core import Records
    from soonest.studies import Comparison, Run
    from soonest.studies.replay import Replay

KEPT = 50
"""Repetitions whose latencies a plot pools at most."""


def simulate_all(
    comparison: Comparison, folder: Path | None, cluster: Cluster | None = None, *, keep: bool
) -> dict[str, list[Records]]:
    """Run all under a progress bar, in a pipe with lines; the records of the highest load are kept for a plot."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from soonest.cli.progress import Lines
    from soonest.report import write_csv

    kept: dict[str, list[Records]] = defaultdict(list)
    highest = max(comparison.loads, default=None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task, lines = progress.add_task("simulating", total=comparison.size), Lines(progress.console)

        def watch(run: Run, records: Records) -> None:
            label = comparison.label(run.arm)
            progress.update(task, advance=1, description=label)
            lines.tell("simulated", len(comparison.runs), comparison.size)
            if keep and run.load == highest and len(kept[label]) < KEPT:
                kept[label].append(records)
            if folder is not None:
                load = "" if run.load is None else f"-load{run.load:g}"
                write_csv(folder / f"{label}{load}-{run.repetition}.csv", records)

        comparison.watch = watch
        comparison.run(cluster)
    return kept


def print_tables(comparison: Comparison, trace: str, *, markdown: bool) -> None:
    """A table for each load; what the columns mean stands once, beneath the last."""
    from rich.console import Console

    from soonest.report import comparison_table, to_markdown

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    loads = comparison.loads or (None,)
    for number, load in enumerate(loads, start=1):
        rows, legend = comparison.rows(load), number == len(loads)
        parts = [_requests(comparison, trace), *_pace(comparison, load), *_engine(comparison), *_limits(comparison)]
        title = "; ".join(parts)
        if markdown:
            typer.echo(f"{title}\n\n{to_markdown(rows, legend=legend)}")
        else:
            table = comparison_table(rows, width=console.width, legend=legend)
            console.print(title, table, sep="\n\n", end="\n\n", markup=False)
    for line in _predictors(comparison):
        typer.echo(line)


def print_check(replay: Replay | None, comparison: Comparison) -> None:
    """How near the simulator came to what really happened; a replay that is far off is not to be trusted."""
    for line in _said_of(replay, comparison):
        typer.echo(line)


def checked(replay: Replay | None, comparison: Comparison) -> dict[str, object]:
    """That, and what was fitted, for JSON; nothing where no journal is replayed."""
    if replay is None:
        return {}
    check, fit = replay.check(comparison.runs), replay.fit
    near = check and {
        "policy": check.policy,
        "mean_jct_replayed": check.replayed,
        "mean_jct_real": check.real,
        "difference": check.difference,
        "trusted": check.trusted,
    }
    errors = fit and {"r2": fit.r2, "median_error": fit.median_error, "p99_error": fit.p99_error, "requests": fit.n}
    return {"replay": near, "steps_fit": errors}


def document(comparison: Comparison) -> dict[str, object]:
    """The command, versions, conditions and every run, for JSON."""
    from soonest.report.study.origin import command, versions

    return {
        "command": command(sys.argv[1:]),
        "versions": versions(),
        "conditions": conditions(comparison),
        "runs": [_flat(run) for run in comparison.runs],
    }


def conditions(comparison: Comparison) -> dict[str, object]:
    """All that the numbers depend on, `None` where it plays no part; the loads and rates are the runs'."""
    from dataclasses import asdict

    scenario, options = comparison.scenario, comparison.scenario.options
    return {
        "trace": scenario.trace.name,
        "requests": scenario.size,
        "left_out": scenario.trace.left_out,
        "arrivals": scenario.arrivals,
        "burstiness": scenario.burstiness if scenario.arrivals == "gamma" else None,
        "lengths": None if scenario.lengths is None else scenario.lengths.name,
        "prompts": None if scenario.asked is None else len(scenario.asked.examples),
        "predictors": [] if scenario.asked is None else list(scenario.asked.predictors),
        "told": None if scenario.told is None else len(scenario.told),
        "predictions": None if scenario.predictions is None else scenario.predictions.name,
        "saturation": scenario.saturation if comparison.loads else None,
        "repetitions": scenario.repetitions,
        "seed": scenario.seed,
        "backend": scenario.backend,
        "slos_ms": None if comparison.slos is None else dict(comparison.slos),
        "rules": asdict(options.rules),
        "step_time_ps": asdict(options.step_time),
        "engines": options.engines,
        "speeds": list(options.each_speed),
        "router": options.router,
        "gateways": options.gateways,
        "overdue_after": options.overdue_after,
        "overdue_every": options.overdue_every,
        "tenant_weights": None if options.weights is None else dict(options.weights),
        "prefix_blocks": options.prefix_blocks,
    }


def write_runs(path: Path, comparison: Comparison) -> None:
    """A row for each simulation, as CSV."""
    from soonest.report import write_rows

    write_rows(path, [_flat(run) for run in comparison.runs])


def show(
    comparison: Comparison,
    kept: dict[str, list[Records]],
    trace: str,
    replay: Replay | None,
    began: float,
    plot: Path | None,
    html: Path | None,
) -> None:
    """A picture and a page, where they are asked for."""
    if plot is not None:
        draw(plot, comparison, kept, trace)
    if html is not None:
        write_page(html, comparison, kept, trace, replay, began)


def draw(path: Path, comparison: Comparison, kept: dict[str, list[Records]], trace: str) -> None:
    """Latencies at the highest load, and latency against load where there are several."""
    from soonest.report import plot
    from soonest.studies.comparison import latencies

    by_load = comparison.by_load() if len(comparison.loads) > 1 else None
    title = "; ".join([_requests(comparison, trace), *_engine(comparison)])
    plot(path, latencies(kept), by_load, title, panels=_panels(comparison))
    typer.echo(f"wrote {path}", err=True)


def write_page(
    path: Path,
    comparison: Comparison,
    kept: dict[str, list[Records]],
    trace: str,
    replay: Replay | None,
    began: float,
) -> None:
    """All of it on one page: a section for each load, distributions at the highest, and all loads beside each other."""
    from soonest.report.study import Study, compared
    from soonest.report.study.html import write_page
    from soonest.report.study.origin import command, machine, versions

    loads = comparison.loads or (None,)
    remarks = [*_predictors(comparison), *_said_of(replay, comparison)]
    titles = {load: "; ".join([*_pace(comparison, load), *_limits(comparison)]) for load in loads}
    sections = [
        compared.comparison(
            titles[load],
            comparison.rows(load),
            kept if load == max(comparison.loads, default=None) else {},
            remarks if load == loads[-1] else (),
            legend=load == loads[-1],
        )
        for load in loads
    ]
    if len(comparison.loads) > 1:
        sections.append(compared.against_load({load: comparison.rows(load) for load in comparison.loads}))
    sections.append(compared.every_measure({titles[load]: comparison.rows(load) for load in loads}))
    study = Study(
        "sim",
        "; ".join([_requests(comparison, trace), *_engine(comparison)]),
        command(sys.argv[1:]),
        comparison.scenario.seed,
        versions(),
        machine(),
        round(time.monotonic() - began, 1),
        (*sections, compared.conditions(conditions(comparison) | checked(replay, comparison))),
    )
    write_page(path, [study])
    typer.echo(f"wrote {path}", err=True)


def _said_of(replay: Replay | None, comparison: Comparison) -> Iterator[str]:
    check = None if replay is None else replay.check(comparison.runs)
    if check is None:
        return
    yield (
        f"{check.policy}, replayed: mean JCT {check.replayed:.3g} s; as it really was: {check.real:.3g} s; "
        f"{abs(check.difference):.1%} {'more' if check.difference > 0 else 'less'}"
    )
    if not check.trusted:
        yield "that is over 10 % off: do not trust what this replay says of other policies"


def _flat(run: Run) -> dict[str, object]:
    arm = {"policy": run.arm.policy, "forecast": run.arm.forecast}
    from soonest.studies.live import MEASURES

    heard = {f"forecast_{key}": run.forecasts.get(key) for key in (*MEASURES, "us_a_forecast")}
    return {**arm, "load": run.load, "request_rate": run.rate, "repetition": run.repetition, **run.summary, **heard}


def _predictors(comparison: Comparison) -> Iterator[str]:
    """A line for each load and arm with a predictor: how good its forecasts were."""
    import numpy as np

    found: dict[tuple[float | None, str], list[Run]] = defaultdict(list)
    for run in comparison.runs:
        if run.forecasts:
            found[run.load, comparison.label(run.arm)].append(run)
    for (load, label), runs in found.items():
        mean = {key: float(np.mean([run.forecasts[key] for run in runs])) for key in runs[0].forecasts}
        at = "" if load is None else f" at load {load:g}"
        if mean["unknown"] == 1:
            yield f"forecasts of {label}{at}: silent throughout, so the order was that of arrival"
            continue
        inside = f"{mean['coverage']:.1%} inside intervals" + (
            "" if np.isnan(mean["coverage_promised"]) else f" that promise {mean['coverage_promised']:.0%}"
        )
        yield (
            f"forecasts of {label}{at}, over all arrivals: Kendall's tau {mean['kendall_tau']:.2f}, {inside}, "
            f"{mean['unknown']:.1%} unknown, {mean['us_a_forecast']:.0f} us each"
        )


def _requests(comparison: Comparison, trace: str) -> str:
    return f"{comparison.scenario.size:,} requests of {trace}, {comparison.scenario.arrivals}"


def _pace(comparison: Comparison, load: float | None) -> list[str]:
    rate = next(run.rate for run in comparison.runs if run.load == load)
    share = [] if load is None else [f"load {load:g} of {comparison.scenario.saturation:.3g} req/s"]
    return [*share, "all at once" if rate == float("inf") else f"{rate:.3g} req/s"]


def _engine(comparison: Comparison) -> list[str]:
    rules = comparison.scenario.options.rules
    return [
        f"{rules.slots or 'any number of'} slots",
        "any memory" if rules.blocks is None else f"{rules.capacity:,} tokens of KV cache",
    ]


def _limits(comparison: Comparison) -> list[str]:
    limits = ", ".join(f"{name} {limit:g} ms" for name, limit in (comparison.slos or {}).items())
    return [f"goodput within {limits}"] if limits else []


def _panels(comparison: Comparison) -> tuple[str, str]:
    """What is true of the distribution alone, and of the curves against load alone."""
    several = comparison.scenario.repetitions
    pooled, means = "one repetition", "one repetition"
    if several > 1:
        pooled = f"{several} repetitions pooled" if several <= KEPT else f"{KEPT} of {several} repetitions pooled"
        means = f"means of {several} repetitions, with 95 % confidence intervals"
    return "; ".join([*_pace(comparison, max(comparison.loads, default=None)), pooled]), means

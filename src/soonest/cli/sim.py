"""`soonest sim`."""

from __future__ import annotations

import os
import shlex
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from soonest.cli import flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.core import Records, Rules
    from soonest.data import Trace
    from soonest.sim import StepTime
    from soonest.studies import Comparison, Run, Scenario

POLICIES = ["fcfs,shortest@classes,response_ratio(shortest)@classes,a_max@classes,a_min@classes,shortest@oracle"]
SMALL_ENGINE = {"slots": 64, "memory": 30_000}
"""On which the sample is simulated unless the engine is described: on a large one it never queues."""
KEPT = 50
"""Repetitions whose latencies a plot pools at most."""


def sim(
    policy: flags.Policies = POLICIES,
    forecast: flags.Forecast = "oracle",
    predictions: flags.Predictions = None,
    overdue_after: flags.OverdueAfter = None,
    overdue_every: flags.OverdueEvery = 8,
    tenant_weights: flags.TenantWeights = None,
    trace: flags.TraceName = "sample",
    format: flags.Format = "auto",  # noqa: A002 - the flag's name
    model: flags.Model = None,
    lengths: flags.Lengths = None,
    requests: flags.Requests = None,
    arrivals: flags.Arrivals = "replay",
    load: flags.Loads = [],  # noqa: B006 - Typer copies it
    rate: flags.Rate = None,
    speedup: flags.Speedup = None,
    burstiness: flags.Burstiness = 1.0,
    rules: flags.RulesName = "vllm",
    slots: flags.Slots = None,
    token_budget: flags.TokenBudget = None,
    memory: flags.Memory = None,
    block_size: flags.BlockSize = None,
    timeout: flags.Timeout = None,
    watermark: flags.Watermark = 0.0,
    clear: flags.Clear = 0.0,
    step_time: flags.StepTimeName = "h100-8b",
    engines: flags.Engines = 1,
    prefix_blocks: flags.PrefixBlocks = 0,
    repetitions: flags.Repetitions = 4,
    seed: flags.Seed = 0,
    backend: flags.BackendName = "auto",
    goodput: flags.Goodput = [],  # noqa: B006 - Typer copies it
    json: flags.Json = None,
    csv: flags.Csv = None,
    records: flags.RecordsFolder = None,
    plot: flags.Plot = None,
    markdown: flags.Markdown = False,
    cache_dir: flags.CacheFolder = None,
) -> None:
    """Compare scheduling policies on the same requests, in simulated time.

    Without arguments: the shipped sample on a small engine (64 slots, 30,000 tokens of KV cache), at 0.9 of what it
    sustains.

    Examples:
    `soonest sim --trace azure-conv --load 0.9 --load 1.1 --plot azure.png`

    `soonest sim -t mine.csv -p fcfs,shortest@noise(0.5) -m 100000 -r 5 --json out.json`
    """
    from soonest.core import SimulationError
    from soonest.report import check_picture, check_target, write_json
    from soonest.sim import Options
    from soonest.studies import Comparison, Scenario, arms

    for path in (json, csv):
        if path is not None:
            check_target(path)
    if plot is not None:
        check_picture(plot)
    paces = bool(load) + (rate is not None) + (speedup is not None)
    if paces > 1 or (paces and arrivals == "burst"):
        raise SimulationError("give one of --load, --rate and --speedup, and none with --arrivals burst")
    if trace == "sample" and rules == "vllm" and slots is memory is None:
        slots, memory = SMALL_ENGINE["slots"], SMALL_ENGINE["memory"]
    calls = _trace(trace, format, model, cache_dir)
    options = Options(
        rules=_rules(rules, slots, token_budget, memory, block_size, timeout, watermark, clear),
        step_time=_step_time(step_time),
        engines=engines,
        seed=seed,
        overdue_after=overdue_after,
        overdue_every=overdue_every,
        weights=None if tenant_weights is None else _numbers(tenant_weights.split(","), "=", "--tenant-weights"),
        prefix_blocks=prefix_blocks,
    )
    scenario = Scenario(
        calls,
        options,
        arrivals,
        requests,
        None if lengths is None else _read(lengths, model=model),
        burstiness,
        None if predictions is None else _read(predictions),
        repetitions,
        seed,
        backend,
    )
    if not load and rate is None and speedup is None and arrivals != "burst":
        load = [0.9]
    comparison = Comparison(
        scenario,
        arms(policy, forecast),
        list(dict.fromkeys(load)),
        rate if speedup is None else calls.rate * speedup,
        _numbers(goodput, ":", "--goodput") or None,
    )
    kept = _simulate(comparison, records, keep=plot is not None)
    engine = f"{rules} rules, {Path(step_time).name} steps" + (f", {engines} engines" if engines > 1 else "")
    _print(comparison, f"{Path(trace).name} on {engine}", markdown=markdown)
    if json is not None:
        write_json(json, _document(comparison))
    if csv is not None:
        _write_runs(csv, comparison)
    if plot is not None:
        _plot(plot, comparison, kept, f"{Path(trace).name} on {engine}")


def _trace(name: str, form: str, model: str | None, cache: Path | None) -> Trace:
    from soonest.data import CATALOGUE, fetch, read_trace, sample

    if name == "sample":
        return sample()
    if name in CATALOGUE and not Path(name).exists():
        home = os.environ.get("XDG_CACHE_HOME")
        folder = cache if cache is not None else (Path(home) / "soonest" if home else None)
        path = fetch(name, folder, lambda line: typer.echo(line, err=True))
        return read_trace(path, CATALOGUE[name].format, model=model)
    return read_trace(name, form, model=model)


def _read(path: Path, model: str | None = None) -> Trace:
    from soonest.data import read_trace

    return read_trace(path, model=model)


def _step_time(name: str) -> StepTime:
    from soonest.core import StepTimeError
    from soonest.sim import PRESETS, StepTime

    if name in PRESETS:
        return PRESETS[name]
    if not Path(name).exists():
        raise StepTimeError(f"no step time {name!r}: give one of {', '.join(PRESETS)}, or a file from fit-steps")
    return StepTime.load(name)


def _rules(
    name: str,
    slots: int | None,
    token_budget: int | None,
    memory: int | None,
    block_size: int | None,
    timeout: float | None,
    watermark: float,
    clear: float,
) -> Rules:
    from dataclasses import replace

    from soonest.core import Rules, RulesError

    presets = {f.__name__: f for f in (Rules.vllm, Rules.paper, Rules.none, Rules.dynamic, Rules.continuous)}
    if name not in presets:
        raise RulesError(f"no rules {name!r}; known: {', '.join(presets)}")
    preset = presets[name]()
    size = preset.block_size if block_size is None else block_size
    if size < 1 or (memory is not None and memory < size):
        raise RulesError(f"--memory must hold at least one block of --block-size tokens, got {memory} and {size}")
    given = {
        "slots": slots,
        "token_budget": token_budget,
        "block_size": block_size,
        "timeout": timeout,
        "blocks": None if memory is None else memory // size,
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if slots is not None and token_budget is None and preset.token_budget is not None:
        changes["token_budget"] = max(preset.token_budget, slots)
    return replace(preset, watermark=watermark, clear=clear, **changes)


def _numbers(words: Sequence[str], between: str, flag: str) -> dict[str, float]:
    from soonest.core import SimulationError

    found = {}
    for word in words:
        name, sign, number = word.partition(between)
        try:
            found[name.strip()] = float(number)
        except ValueError:
            sign = ""
        if not sign or not name.strip():
            raise SimulationError(f"{flag} takes NAME{between}NUMBER, got {word!r}")
    return found


def _simulate(comparison: Comparison, folder: Path | None, *, keep: bool) -> dict[str, list[Records]]:
    """Run all under a progress bar; the records of the highest load are kept for a plot."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from soonest.report import write_csv

    kept: dict[str, list[Records]] = defaultdict(list)
    highest = max(comparison.loads, default=None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=comparison.size)

        def watch(run: Run, records: Records) -> None:
            label = comparison.label(run.arm)
            progress.update(task, advance=1, description=label)
            if keep and run.load == highest and len(kept[label]) < KEPT:
                kept[label].append(records)
            if folder is not None:
                load = "" if run.load is None else f"-load{run.load:g}"
                write_csv(folder / f"{label}{load}-{run.repetition}.csv", records)

        comparison.watch = watch
        comparison.run()
    return kept


def _print(comparison: Comparison, trace: str, *, markdown: bool) -> None:
    from rich.console import Console

    from soonest.report import comparison_table, to_markdown

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    for load in comparison.loads or (None,):
        rows = comparison.rows(load)
        title = _condition(comparison.scenario, trace, load, comparison.runs)
        if markdown:
            typer.echo(f"{title}\n\n{to_markdown(rows)}")
        else:
            console.print(title, comparison_table(rows, width=console.width), sep="\n\n", end="\n\n", markup=False)


def _condition(scenario: Scenario, trace: str, load: float | None, runs: Sequence[Run]) -> str:
    rate = next(run.rate for run in runs if run.load == load)
    rules = scenario.options.rules
    parts = [f"{scenario.size:,} requests of {trace}, {scenario.arrivals}"]
    if load is not None:
        parts.append(f"load {load:g} of {scenario.saturation:.3g} req/s")
    parts.append("all at once" if rate == float("inf") else f"{rate:.3g} req/s")
    parts.append(f"{rules.slots or 'any number of'} slots")
    parts.append("any memory" if rules.blocks is None else f"{rules.capacity:,} tokens of KV cache")
    return "; ".join(parts)


def _document(comparison: Comparison) -> dict[str, object]:
    import platform
    from dataclasses import asdict

    import numpy as np

    from soonest import __version__

    scenario, options = comparison.scenario, comparison.scenario.options
    return {
        "command": shlex.join(["soonest", *sys.argv[1:]]),
        "versions": {"soonest": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "conditions": {
            "trace": scenario.trace.name,
            "requests": scenario.size,
            "left_out": scenario.trace.left_out,
            "arrivals": scenario.arrivals,
            "saturation": scenario.saturation if comparison.loads else None,
            "repetitions": scenario.repetitions,
            "seed": scenario.seed,
            "rules": asdict(options.rules),
            "step_time_ps": asdict(options.step_time),
            "engines": options.engines,
            "overdue_after": options.overdue_after,
            "overdue_every": options.overdue_every,
        },
        "runs": [_flat(run) for run in comparison.runs],
    }


def _flat(run: Run) -> dict[str, object]:
    arm = {"policy": run.arm.policy, "forecast": run.arm.forecast}
    return {**arm, "load": run.load, "request_rate": run.rate, "repetition": run.repetition, **run.summary}


def _write_runs(path: Path, comparison: Comparison) -> None:
    from soonest.report import write_rows

    write_rows(path, [_flat(run) for run in comparison.runs])


def _plot(path: Path, comparison: Comparison, kept: dict[str, list[Records]], trace: str) -> None:
    from soonest.report import plot
    from soonest.studies.comparison import latencies

    by_load = comparison.by_load() if len(comparison.loads) > 1 else None
    highest = max(comparison.loads, default=None)
    plot(path, latencies(kept), by_load, _condition(comparison.scenario, trace, highest, comparison.runs))
    typer.echo(f"wrote {path}", err=True)

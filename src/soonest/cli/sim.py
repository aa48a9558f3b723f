"""`soonest sim`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from soonest.cli import asked, flags, machines, results
from soonest.cli.cluster import Ray, cluster
from soonest.cli.together import check_together, is_public

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.data import Trace

T = TypeVar("T")
POLICIES = ["fcfs,shortest@classes,response_ratio(shortest)@classes,a_max@classes,a_min@classes,shortest@oracle"]
BY_PREDICTOR = (
    "fcfs,shortest@predictor,response_ratio(shortest)@predictor,a_max@predictor,a_min@predictor,shortest@oracle"
)
SMALL_ENGINE = {"slots": 64, "memory": 30_000}
"""On which the sample is simulated unless the engine is described: on a large one it never queues."""


def sim(
    policy: flags.Policies = POLICIES,
    forecast: flags.Forecast = "oracle",
    predictions: flags.Predictions = None,
    predictor: flags.Predictor = [],  # noqa: B006 - Typer copies it
    overdue_after: flags.OverdueAfter = None,
    overdue_every: flags.OverdueEvery = None,
    tenant_weights: flags.TenantWeights = None,
    trace: flags.TraceName = "sample",
    journal: flags.Journal = None,
    since: flags.Since = None,
    until: flags.Until = None,
    format: flags.Format = "auto",  # noqa: A002 - the flag's name
    model: flags.Model = None,
    lengths: flags.Lengths = None,
    prompts: flags.Prompts = None,
    test_share: flags.TestShare = None,
    cut: flags.Cut = None,
    requests: flags.Requests = None,
    arrivals: flags.Arrivals = "replay",
    load: flags.Loads = [],  # noqa: B006 - Typer copies it
    rate: flags.Rate = None,
    speedup: flags.Speedup = None,
    burstiness: flags.Burstiness = None,
    rules: flags.RulesName = "vllm",
    slots: flags.Slots = None,
    token_budget: flags.TokenBudget = None,
    memory: flags.Memory = None,
    block_size: flags.BlockSize = None,
    timeout: flags.Timeout = None,
    watermark: flags.Watermark = 0.0,
    clear: flags.Clear = 0.0,
    step_time: flags.StepTimeName = None,
    engines: flags.Engines = None,
    speeds: flags.Speeds = None,
    router: flags.RouterName = None,
    gateways: flags.GatewayCount = None,
    prefix_blocks: flags.PrefixBlocks = 0,
    repetitions: flags.Repetitions = None,
    seed: flags.Seed = 0,
    backend: flags.BackendName = "auto",
    ray: Ray = None,
    goodput: flags.Goodput = [],  # noqa: B006 - Typer copies it
    json: flags.Json = None,
    csv: flags.Csv = None,
    records: flags.RecordsFolder = None,
    plot: flags.Plot = None,
    html: flags.Html = None,
    markdown: flags.Markdown = False,
    cache_dir: flags.CacheFolder = None,
) -> None:
    """Compare scheduling policies on the same requests, in simulated time.

    Without arguments: the shipped sample on a small engine (64 slots, 30,000 tokens of KV cache), at 0.9 of what it
    sustains.

    Examples:
    `soonest sim --trace azure-conv --load 0.9 --load 1.1 --plot azure.png`

    `soonest sim -t mine.csv -p fcfs,shortest@noise(0.5) -m 100000 -r 5 --json out.json`

    `soonest sim -t azure-conv --prompts chats.jsonl --test-share 0.2 --predictor forecasts -m 20000`

    `soonest sim --journal journal.db --since 24h`
    """
    from soonest.core import SimulationError
    from soonest.report import write_json
    from soonest.sim import Options
    from soonest.studies import Comparison, Scenario, arms

    began = time.monotonic()
    _check_outputs(json, csv, plot, html)
    paces = bool(load) + (rate is not None) + (speedup is not None)
    if paces > 1 or (paces and arrivals == "burst"):
        raise SimulationError("give one of --load, --rate and --speedup, and none with --arrivals burst")
    replay = None
    weights = None if tenant_weights is None else numbers(tenant_weights.split(","), "=", "--tenant-weights")
    if journal is not None:
        replay = asked.replay(
            journal, since, until, requests, model, {"trace": trace != "sample", "lengths": lengths, "prompts": prompts}
        )
        policy = [replay.policies] if policy == POLICIES else policy
        own = (slots, replay.slots), (engines, replay.engines), (memory, replay.memory)
        slots, engines, memory = (given_or(*pair) for pair in own)
        overdue_after = given_or(overdue_after, replay.overdue_after)
        overdue_every = given_or(overdue_every, replay.overdue_every)
        weights = given_or(weights, replay.weights)
    elif trace == "sample" and rules == "vllm" and slots is memory is None:
        slots, memory = SMALL_ENGINE["slots"], SMALL_ENGINE["memory"]
    named = asked.predictors(predictor)
    if named and policy == POLICIES:
        first, *others = named
        policy = [BY_PREDICTOR.replace("@predictor", f"@{first}"), *(f"shortest@{name}" for name in others)]
    compared = arms(policy, forecast)
    asked.check_named(named, compared)
    given = {
        "rules": rules,
        "timeout": timeout,
        "memory": memory,
        "watermark": watermark or None,
        "clear": clear or None,
        "engines": engines,
        "speeds": speeds,
        "router": router,
        "gateways": gateways,
        "arrivals": arrivals,
        "burstiness": burstiness,
        "overdue_after": overdue_after,
        "overdue_every": overdue_every,
        "predictions": predictions,
        "predictor": predictor or None,
        "prompts": prompts,
        "test_share": test_share,
        "cut": cut,
        "format": None if format == "auto" else format,
        "model": model,
        "lengths": lengths,
        "since": since,
        "until": until,
        "journal": journal,
    }
    check_together(trace, given, compared)
    _tell_of_the_sample(trace == "sample" and rules == "vllm" and replay is None, slots, memory)
    calls = faster(named_trace(trace, format, model, cache_dir) if replay is None else replay.trace, speedup)
    options = Options(
        rules=machines.rules(rules, slots, token_budget, memory, block_size, timeout, watermark, clear),
        step_time=machines.step_time(step_time or "h100-8b") if replay is None or step_time else asked.fitted(replay),
        engines=given_or(engines, 1),
        speeds=machines.speeds(speeds),
        router=router,
        gateways=given_or(gateways, 1),
        seed=seed,
        overdue_after=overdue_after,
        overdue_every=given_or(overdue_every, 8),
        weights=weights,
        prefix_blocks=prefix_blocks,
    )
    scenario = Scenario(
        calls,
        options,
        arrivals,
        requests if replay is None else None,
        None if lengths is None else _read(lengths, model=model),
        given_or(burstiness, 1.0),
        None if predictions is None else _read(predictions),
        given_or(repetitions, 4 if replay is None else 1),
        seed,
        backend,
        None if prompts is None else asked.prompts(prompts, model, test_share, cut, seed, named),
        None if replay is None else replay.told,
    )
    if replay is None and not load and rate is None and speedup is None and arrivals != "burst":
        load = [0.9]
    comparison = Comparison(
        scenario,
        compared,
        list(dict.fromkeys(load)),
        calls.rate if speedup is not None and arrivals != "replay" else rate,
        numbers(goodput, ":", "--goodput") or None,
    )
    with cluster(ray) as shared:
        kept = results.simulate_all(comparison, records, shared, keep=bool(plot or html))
    steps = Path(step_time or "h100-8b").name if replay is None or step_time else "fitted"
    described = f"{rules} rules, {steps} steps{machines.fleet(options)}"
    source = " at the times of ".join(
        [*([] if prompts is None else [prompts.name]), Path(calls.name if replay else trace).name]
    )
    shown = f"{source} on {described}"
    results.print_tables(comparison, shown, markdown=markdown)
    results.print_check(replay, comparison)
    if json is not None:
        write_json(json, results.document(comparison) | results.checked(replay, comparison))
    if csv is not None:
        results.write_runs(csv, comparison)
    results.show(comparison, kept, shown, replay, began, plot, html)


def faster(trace: Trace, speedup: float | None) -> Trace:
    """The trace at its own times, or so many times as fast."""
    from soonest.core import SimulationError
    from soonest.data import replayed

    if speedup is None:
        return trace
    if not trace.has_arrivals or trace.rate == float("inf"):
        raise SimulationError("--speedup is of a trace's own times, and this one has none: give --load or --rate")
    return trace.at(replayed(trace, speedup=speedup))


def given_or(given: T | None, otherwise: T) -> T:
    """What a flag says, be it 0, else this."""
    return otherwise if given is None else given


def _check_outputs(json: Path | None, csv: Path | None, plot: Path | None, html: Path | None) -> None:
    """Refuse, before long work, what cannot be written."""
    from soonest.report import check_picture, check_target
    from soonest.report.study.html import check_page

    for path in (json, csv):
        if path is not None:
            check_target(path)
    if plot is not None:
        check_picture(plot)
    if html is not None:
        check_page(html)


def named_trace(name: str, form: str, model: str | None, cache: Path | None) -> Trace:
    """The trace of this name: the sample, a public one, which is downloaded, or a file."""
    from soonest.data import CATALOGUE, fetch, read_trace, sample

    if name == "sample":
        return sample()
    if is_public(name):
        home = os.environ.get("XDG_CACHE_HOME")
        folder = cache if cache is not None else (Path(home) / "soonest" if home else None)
        path = fetch(name, folder, lambda line: typer.echo(line, err=True))
        return read_trace(path, CATALOGUE[name].format, model=model)
    return read_trace(name, form, model=model)


def _read(path: Path, model: str | None = None) -> Trace:
    from soonest.data import read_trace

    return read_trace(path, model=model)


def _tell_of_the_sample(served: bool, slots: int | None, memory: int | None) -> None:
    """One flag alone replaces both of the sample's small engine."""
    if served and (slots is None or memory is None):
        alone, other = ("--slots", "--memory") if memory is None else ("--memory", "--slots")
        small = "the sample's small engine (--slots {slots} --memory {memory})".format(**SMALL_ENGINE)
        typer.echo(f"{alone} replaces {small}: without {other}, vLLM's default holds", err=True)


def numbers(words: Sequence[str], between: str, flag: str) -> dict[str, float]:
    """Numbers by name, from words such as `ttft:200`."""
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

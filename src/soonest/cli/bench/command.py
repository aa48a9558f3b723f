"""`soonest bench`."""

from __future__ import annotations

import math
import time

import typer

from soonest.cli import flags as sim_flags
from soonest.cli.asked import predictors
from soonest.cli.bench import flags
from soonest.cli.bench.arms import shipped_forecasts
from soonest.cli.bench.sources import USUAL

COMPARED = ["fcfs,shortest,response_ratio(shortest),shortest@oracle"]
LOAD, BURSTINESS, REPETITIONS, MAX_TOKENS = 1.2, 0.5, 3, 512
"""Of a comparison where nothing is said."""
DEMO_LOAD, DEMO_SECONDS, DEMO_TOKENS, DEMO_ENGINE = 2.0, 2.5, 160, "--slots 4 --threads 1"
"""Of one with the shipped model: short bursts on a small engine, so that all ends in two minutes on two cores."""


def bench(
    model: flags.Model = None,
    url: flags.Url = None,
    engine: flags.Engine = None,
    served: flags.Served = None,
    endpoint: flags.EndpointApi = "chat",
    api_key: flags.ApiKey = None,
    timeout: flags.Timeout = 600.0,
    engine_flags: flags.EngineFlags = "",
    gateway_flags: flags.GatewayFlags = "",
    compare: flags.Compare = [],  # noqa: B006 - Typer copies it
    predictor: flags.Predictor = [],  # noqa: B006 - Typer copies it
    prompts: flags.Prompts = None,
    trace: flags.TraceName = None,
    num_prompts: flags.NumPrompts = None,
    arrivals: flags.Arrivals = None,
    request_rate: flags.RequestRate = None,
    load: flags.Loads = [],  # noqa: B006 - Typer copies it
    burstiness: flags.Burstiness = None,
    max_concurrency: flags.MaxConcurrency = None,
    max_tokens: flags.MaxTokens = None,
    temperature: flags.Temperature = 0.0,
    ignore_eos: flags.IgnoreEos = False,
    extra_body: flags.ExtraBody = "{}",
    repetitions: flags.Repetitions = None,
    seed: flags.Seed = 0,
    concurrency: flags.Concurrency = None,
    late_share: flags.LateShare = 0.05,
    goodput: sim_flags.Goodput = [],  # noqa: B006 - Typer copies it
    metric_percentiles: flags.Percentiles = "90,99",
    json: sim_flags.Json = None,
    save_detailed: flags.SaveDetailed = False,
    records: sim_flags.RecordsFolder = None,
    html: sim_flags.Html = None,
    markdown: sim_flags.Markdown = False,
) -> None:
    """Send load to a live endpoint and measure it; compare policies on the same requests, on one engine.

    Without --url it starts an engine (the shipped tiny model unless MODEL is given) and a gateway for each policy of
    --compare, measures what they sustain, and sends each the same bursts. Requests leave at their times whatever
    happens; Ctrl-C prints what there is. With the shipped model, all of it takes under two minutes.

    Examples:
    `soonest bench`

    `soonest bench --url http://localhost:8000 --prompts chats.jsonl --request-rate 4 --num-prompts 200`

    `soonest bench --engine http://localhost:8000 --compare fcfs,shortest --predictor forecasts --prompts chats.jsonl`
    """
    from soonest.cli.bench import output
    from soonest.cli.bench.arms import gateways
    from soonest.cli.bench.measuring import Setup, measure
    from soonest.cli.bench.sources import plan
    from soonest.cli.bench.together import check_burstiness, check_flags, check_targets
    from soonest.cli.sim import numbers
    from soonest.report import check_slos, check_target, write_json
    from soonest.report.study.html import check_page

    began = time.monotonic()
    comparing = url is None
    check_targets(url, model, engine, compare, request_rate, load)
    check_flags(
        url, engine, {"--predictor": predictor, "--gateway-flags": gateway_flags, "--engine-flags": engine_flags}
    )
    if json is not None:
        check_target(json)
    if html is not None:
        check_page(html)
    slos = numbers(goodput, ":", "--goodput")
    check_slos(slos)
    shipped = comparing and model is None and engine is None
    arms = []
    if comparing:
        arms = gateways(compare or COMPARED, predictors(predictor), shipped_forecasts() if shipped else None)
        if request_rate is None and not load and trace is None and arrivals in {None, "gamma", "poisson", "fixed"}:
            load = [DEMO_LOAD if shipped else LOAD]
    if request_rate == math.inf or (request_rate is None and not load and trace is None and arrivals is None):
        request_rate, arrivals = None, "burst"
    check_burstiness(burstiness, arrivals or ("gamma" if trace is None else "replay"))
    calls = plan(
        prompts=prompts,
        trace=trace,
        requests=num_prompts,
        arrivals=arrivals,
        burstiness=(BURSTINESS if comparing else 1.0) if burstiness is None else burstiness,
        repetitions=(REPETITIONS if comparing else 1) if repetitions is None else repetitions,
        seed=seed,
        max_tokens=max_tokens or (DEMO_TOKENS if shipped else MAX_TOKENS),
        ignore_eos=ignore_eos,
        shipped=shipped,
    )
    setup = Setup(
        plan=calls,
        arms=arms,
        url=url,
        engine=engine,
        model=model,
        served=served,
        api=endpoint,
        key=api_key,
        timeout=timeout,
        temperature=temperature,
        extra=_object(extra_body),
        engine_flags=f"{DEMO_ENGINE} {engine_flags}".strip() if shipped else engine_flags,  # the last wins
        gateway_flags=gateway_flags,
        loads=list(dict.fromkeys(load)),
        rate=request_rate,
        requests=num_prompts or (None if shipped else min(USUAL, len(calls.calls))),
        seconds=DEMO_SECONDS,
        concurrency=concurrency,
        most=max_concurrency,
        slos=slos,
        percentiles=_percentiles(metric_percentiles),
        late_share=late_share,
    )
    comparison = measure(setup)
    output.show(comparison, setup.title, markdown=markdown)
    if json is not None:
        write_json(json, output.document(comparison, setup.conditions(), detailed=save_detailed))
    if records is not None:
        output.write_records(records, comparison)
    if html is not None:
        output.write_page(html, comparison, setup.title, setup.conditions(), began)
    if comparison.interrupted:
        raise typer.Exit(130)


def _object(text: str) -> dict[str, object]:
    import json

    from soonest.core import SimulationError

    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SimulationError(f"--extra-body takes a JSON object, got {text!r}")
    return found


def _percentiles(words: str) -> list[float]:
    from soonest.core import SimulationError

    try:
        return [float(word) for word in words.split(",")]
    except ValueError:
        raise SimulationError(f"--metric-percentiles takes numbers between commas, got {words!r}") from None

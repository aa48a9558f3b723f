"""The flags of `soonest sim`, with what each says in `--help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Backend = Literal["auto", "python", "kernel"]
ArrivalProcess = Literal["replay", "poisson", "gamma", "fixed", "burst"]
Router = Literal[
    "round_robin",
    "random",
    "least_requests",
    "power_of_two",
    "least_expected_tokens",
    "least_requests_then_tokens",
    "prefix_affinity",
]
RulesPreset = Literal["vllm", "paper", "none", "dynamic", "continuous"]
REQUESTS, ENGINE, POLICIES, RUNS, OUTPUT = "Requests", "Engine", "Policies", "Runs", "Output"


def option(text: str, panel: str, *names: str, **limits: Any) -> Any:
    """A flag with its help, in its panel; `limits` are the `min` and `max` of a number."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **limits)


Policies = Annotated[
    list[str],
    option("Policies, separated by commas; `POLICY@FORECAST` gives one its own forecasts.", POLICIES, "--policy", "-p"),
]
Forecast = Annotated[
    str,
    option(
        "Forecasts where a policy names none: oracle, noise(SIGMA), interval(LOW,HIGH), bins(K), around(X), "
        "classes or classes(ACCURACY), inverted, none; or journal, with --journal.",
        POLICIES,
        "--forecast",
        "-f",
    ),
]
Predictions = Annotated[
    Path | None,
    option("File of a classifier's real predictions; `classes` makes errors as it did.", POLICIES, "--predictions"),
]
OverdueAfter = Annotated[
    float | None,
    option(
        "Seconds after which a waiting request enters the overdue lane; off unless set.", POLICIES, "--overdue-after"
    ),
]
OverdueEvery = Annotated[
    int | None, option("That lane gets at most one admission in so many; 8 unless set.", POLICIES, "--overdue-every")
]
TenantWeights = Annotated[
    str | None,
    option("Share admissions between tenants, e.g. `alice=2,bob=1`; others weigh 1.", POLICIES, "--tenant-weights"),
]

Predictor = Annotated[
    list[str],
    option(
        "Folder from `soonest fit`, or NAME=FOLDER: a predictor that is asked as requests arrive and learns as answers "
        "end, named POLICY@NAME (POLICY@predictor where no name is given); needs --prompts; repeatable.",
        POLICIES,
        "--predictor",
    ),
]
TraceName = Annotated[
    str,
    option(
        "A file (CSV, JSON or JSONL, plain or .gz), `sample` (shipped), or a public trace to download: azure-conv, "
        "azure-code, mooncake-conversation, burstgpt.",
        REQUESTS,
        "--trace",
        "-t",
    ),
]
Format = Annotated[str, option("Format of the trace file, if it is not found out.", REQUESTS, "--format")]
Model = Annotated[str | None, option("Only this model's answers, where a file has several.", REQUESTS, "--model")]
Lengths = Annotated[Path | None, option("Take the lengths from this file instead.", REQUESTS, "--lengths")]
Prompts = Annotated[
    Path | None,
    option(
        "Real prompts and the lengths of their answers, as `soonest fit` reads them, on the trace's arrivals.",
        REQUESTS,
        "--prompts",
    ),
]
TestShare = Annotated[
    float | None,
    option(
        "Serve only this share of --prompts, as `soonest fit` held it out with the same seed; without it a predictor "
        "may be asked what it has learned.",
        REQUESTS,
        "--test-share",
    ),
]
Cut = Annotated[int | None, option("Answers in --prompts of so many tokens or more were cut there.", REQUESTS, "--cut")]
Journal = Annotated[
    str | None,
    option(
        "Replay a gateway's journal (a file, postgresql://USER@HOST/DATABASE, or - to read that from stdin): its own "
        "policy as it was told (POLICY@journal) against fcfs, on its own in-flight limit, with step times fitted from "
        "it.",
        REQUESTS,
        "--journal",
    ),
]
Since = Annotated[
    str | None,
    option("Of --journal, what arrived from then on: 2026-11-25T08:00, UNIX seconds, or 24h ago.", REQUESTS, "--since"),
]
Until = Annotated[str | None, option("Of --journal, what arrived before then; as --since.", REQUESTS, "--until")]
Requests = Annotated[
    int | None,
    option(
        "Cut the trace to so many requests, or repeat it; of --journal the newest (20,000 unless set).",
        REQUESTS,
        "--requests",
        "-n",
    ),
]
Arrivals = Annotated[
    ArrivalProcess, option("replay, poisson, gamma, fixed, or burst (all at once).", REQUESTS, "--arrivals")
]
Loads = Annotated[
    list[float],
    option(
        "Load as a share of saturation (fcfs with everything waiting); repeat for several.", REQUESTS, "--load", "-l"
    ),
]
Rate = Annotated[float | None, option("Requests a second, instead of a load.", REQUESTS, "--rate")]
Speedup = Annotated[float | None, option("Replay the trace so many times as fast, instead.", REQUESTS, "--speedup")]
Burstiness = Annotated[
    float | None,
    option("Of gamma arrivals, as vLLM counts: 1, unless set, is Poisson; less is burstier.", REQUESTS, "--burstiness"),
]

RulesName = Annotated[
    RulesPreset,
    option("vllm, paper (rounds, restart), none (one at a time), dynamic or continuous (SSJF's).", ENGINE, "--rules"),
]
Slots = Annotated[int | None, option("Requests that run at once (vLLM: max_num_seqs).", ENGINE, "--slots")]
TokenBudget = Annotated[
    int | None, option("Tokens an iteration computes (vLLM: max_num_batched_tokens).", ENGINE, "--token-budget")
]
Memory = Annotated[int | None, option("KV cache in tokens; no limit unless set.", ENGINE, "--memory", "-m")]
BlockSize = Annotated[int | None, option("Tokens a KV block.", ENGINE, "--block-size")]
Timeout = Annotated[float | None, option("Seconds a dynamic batch waits to fill.", ENGINE, "--timeout")]
Watermark = Annotated[float, option("Share of memory that admission leaves free.", ENGINE, "--watermark")]
Clear = Annotated[float, option("On overflow, evict each running request with this probability.", ENGINE, "--clear")]
StepTimeName = Annotated[
    str | None,
    option(
        "unit, ssjf, h100-8b, a100-7b, cpu-1m, or a file from `soonest fit-steps`; h100-8b unless set, or fitted from "
        "--journal.",
        ENGINE,
        "--step-time",
        "-s",
    ),
]
Engines = Annotated[
    int | None,
    option(
        "Engines behind one queue, of which each takes the next request when it has a place; 1 unless set, or as in "
        "--journal.",
        ENGINE,
        "--engines",
        "--replicas",
    ),
]
Speeds = Annotated[
    str | None,
    option(
        "How fast each engine is, as a multiple of --step-time, e.g. `1,1,0.5`; all 1 unless set.", ENGINE, "--speeds"
    ),
]
RouterName = Annotated[
    Router | None,
    option(
        "Give each engine a queue of its own, and send a request to one when it arrives: round_robin, random, "
        "least_requests, power_of_two, least_expected_tokens, least_requests_then_tokens or prefix_affinity; one queue "
        "for all unless set.",
        ENGINE,
        "--router",
    ),
]
GatewayCount = Annotated[
    int | None,
    option(
        "Gateways before the engines, each with a queue of its own for its part of the requests; they take turns at "
        "places that become free; 1 unless set.",
        ENGINE,
        "--gateways",
    ),
]
PrefixBlocks = Annotated[
    int,
    option(
        "Blocks of the prefix cache, for traces with block hashes; of each engine's own with --router; 0: none.",
        ENGINE,
        "--prefix-blocks",
    ),
]

Repetitions = Annotated[
    int | None,
    option(
        "Repetitions; the table shows their mean and 95 % confidence interval; 4 unless set, 1 of --journal.",
        RUNS,
        "--repetitions",
        "-r",
    ),
]
Seed = Annotated[
    int,
    option(
        "Seed of everything random; the same seed gives the same bytes, but for a predictor's time, which is measured.",
        RUNS,
        "--seed",
    ),
]
BackendName = Annotated[Backend, option("auto, python, or kernel (compiled; extra `fast`).", RUNS, "--backend")]

Goodput = Annotated[
    list[str],
    option("SLO for goodput, e.g. `ttft:200`, `tpot:50`, `e2el:3000`, in ms; repeatable.", OUTPUT, "--goodput"),
]
Json = Annotated[Path | None, option("Write every number as JSON, under vLLM's keys.", OUTPUT, "--json")]
Csv = Annotated[Path | None, option("Write a row for each simulation.", OUTPUT, "--csv")]
RecordsFolder = Annotated[
    Path | None, option("Write each run's requests as a CSV into this folder.", OUTPUT, "--records")
]
Plot = Annotated[
    Path | None, option("Draw latencies, and latency against load, as a picture: FILE.png.", OUTPUT, "--plot")
]
Html = Annotated[
    Path | None,
    option(
        "One self-contained page to explore, FILE.html: every table and figure, and what made them (extra `plot`).",
        OUTPUT,
        "--html",
    ),
]
Markdown = Annotated[bool, option("Print the table as Markdown.", OUTPUT, "--markdown")]
CacheFolder = Annotated[
    Path | None, option("Where downloaded traces are kept; ~/.cache/soonest unless set.", OUTPUT, "--cache-dir")
]

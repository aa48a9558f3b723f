"""The flags of `soonest bench`, with what each says in `--help`; those that `vllm bench serve` has bear its names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from soonest.cli.flags import (
    OUTPUT,
    POLICIES,
    REQUESTS,
    RUNS,
    ArrivalProcess,
    option,
)

Api = Literal["chat", "completions"]
TARGET = "Target"

Model = Annotated[
    str | None,
    typer.Argument(
        help="Model folder or id for the engine that is started; without it the shipped tiny one.", metavar="MODEL"
    ),
]
Url = Annotated[
    str | None,
    option("Measure this endpoint, ours or any other that speaks OpenAI's API; starts nothing.", TARGET, "--url"),
]
Engine = Annotated[
    str | None,
    option("With --compare: put the gateways before this engine instead of starting one.", TARGET, "--engine"),
]
Served = Annotated[
    str | None, option("Model to ask for; the first that the endpoint names unless set.", TARGET, "--model")
]
EndpointApi = Annotated[Api, option("chat or completions.", TARGET, "--endpoint")]
ApiKey = Annotated[str | None, option("Sent as a bearer token; better given as the variable.", TARGET, "--api-key")]
Timeout = Annotated[
    float, option("Seconds from departure to the last byte, after which a request has failed.", TARGET, "--timeout")
]
EngineFlags = Annotated[
    str,
    option(
        "Flags for the engine that is started, in quotes: `'--slots 8'`; the shipped model has 4 slots unless set.",
        TARGET,
        "--engine-flags",
    ),
]
GatewayFlags = Annotated[
    str, option("Flags for each gateway that is started, in quotes: `'--in-flight 8'`.", TARGET, "--gateway-flags")
]

Compare = Annotated[
    list[str],
    option(
        "Policies to compare, separated by commas, each in a gateway of its own before one engine. POLICY@oracle is "
        "told the true lengths, measured first; POLICY@NAME asks a --predictor.",
        POLICIES,
        "--compare",
        "-c",
    ),
]
Predictor = Annotated[
    list[str],
    option(
        "Folder from `soonest fit`, or NAME=FOLDER: what policies without an @ are told, or those with @NAME; "
        "repeatable. For the shipped model its own forecasts unless set.",
        POLICIES,
        "--predictor",
    ),
]

Prompts = Annotated[
    Path | None,
    option(
        "Prompts from a file as `soonest fit` reads them; else the shipped model's tasks, or a trace's lengths.",
        REQUESTS,
        "--prompts",
        "--dataset-path",
    ),
]
TraceName = Annotated[
    str | None,
    option(
        "Times, and without --prompts lengths, of a trace as in `soonest sim`: a file, `sample`, or a public one.",
        REQUESTS,
        "--trace",
        "-t",
    ),
]
NumPrompts = Annotated[
    int | None,
    option(
        "Requests of a run; unless set 1000, or with the shipped model as many as arrive in a few seconds.",
        REQUESTS,
        "--num-prompts",
        "-n",
    ),
]
Arrivals = Annotated[
    ArrivalProcess | None,
    option("replay (if there is a --trace), gamma (otherwise), poisson, fixed, or burst.", REQUESTS, "--arrivals"),
]
RequestRate = Annotated[
    float | None,
    option(
        "Requests a second; inf, all at once. Unless set inf, or in --compare a load of 1.2, or 2 with the shipped "
        "model.",
        REQUESTS,
        "--request-rate",
        "--rate",
    ),
]
Loads = Annotated[
    list[float],
    option("Rate as a share of what a closed loop, run first, sustains; repeat for several.", REQUESTS, "--load", "-l"),
]
Burstiness = Annotated[
    float | None,
    option(
        "Of gamma arrivals: 1 is Poisson, less is burstier. Unless set 1, or in --compare 0.5.",
        REQUESTS,
        "--burstiness",
    ),
]
MaxConcurrency = Annotated[
    int | None,
    option("Requests under way at most; departures then wait, so the loop is not open.", REQUESTS, "--max-concurrency"),
]
MaxTokens = Annotated[
    int | None,
    option(
        "Limit of answers whose prompt states none; unless set 512, or 160 with the shipped model.",
        REQUESTS,
        "--max-tokens",
    ),
]
Temperature = Annotated[
    float,
    option(
        "Sampling temperature; above 0 an oracle's lengths are not those of the next answer.", REQUESTS, "--temperature"
    ),
]
IgnoreEos = Annotated[
    bool,
    option(
        "Make answers exactly as long as the prompts' file says; needs an engine that knows ignore_eos.",
        REQUESTS,
        "--ignore-eos",
    ),
]
ExtraBody = Annotated[str, option("JSON object whose members join every request's body.", REQUESTS, "--extra-body")]

Repetitions = Annotated[
    int | None,
    option(
        "Runs of each policy, in another order each time; 3 in --compare, else 1, unless set.",
        RUNS,
        "--repetitions",
        "-r",
    ),
]
Seed = Annotated[
    int, option("Seed of arrivals, of which prompts are sent, and of the order of policies.", RUNS, "--seed")
]
Concurrency = Annotated[
    int | None,
    option(
        "Requests under way in the closed loop that measures capacity; unless set twice the engine's slots, or 64.",
        RUNS,
        "--concurrency",
    ),
]
LateShare = Annotated[
    float,
    option("Mark a run whose departures' p99 lateness is over this share of its mean JCT.", RUNS, "--late-share"),
]

Percentiles = Annotated[str, option("Percentiles of latencies, separated by commas.", OUTPUT, "--metric-percentiles")]
SaveDetailed = Annotated[bool, option("Put each request's numbers into --json too.", OUTPUT, "--save-detailed")]

"""Forecast order against arrival order on the engine of `soonest serve`, and what the simulator said beforehand.

    python -m benchmarks.embedded --out benchmarks/results/embedded.json

One embedded engine with the shipped model, and a gateway for each of `fcfs`, `shortest` and `response_ratio(shortest)`
with the shipped forecasts, and `shortest` told the true lengths. In one run:

1. a closed loop through the `fcfs` gateway measures what is sustained and how long each answer is;
2. closed loops of 1, 2 and half the slots give, with the first, the step times (`benchmarks/foretold.py`);
3. `soonest.sim` runs the very waves that follow, on these step times; what it says is written down;
4. the waves: a fixed number of requests, 75 a slot, with gamma arrivals at 0.7, 0.9 and 1.2 of what is sustained, so
   over 60 mean service times or more, then the drain; policies in another order in each repetition, the same requests
   at the same times for all of a repetition.

The file is written anew after each run, so an interrupted benchmark leaves what there is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from benchmarks.foretold import Steps, counted, fitted, simulated, workload_of

from soonest.bench import Comparison, Contender, Endpoint, Load, Plan, calls_of
from soonest.bench.printing import machine, versions
from soonest.bench.probe import model_of
from soonest.bench.servers import serving
from soonest.core import Prompt, Rules
from soonest.data import sample
from soonest.engines import tiny
from soonest.report import Row, interval, paired_gain, to_markdown, write_json
from soonest.sim import Options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.bench import Answer, Ran, Run

SLOTS, BUDGET, BLOCK, MEMORY = 8, 256, 16, 8192
LOADS: Final = (0.7, 0.9, 1.2)
BURSTINESS: Final = 0.5
DRAIN: Final = 1.15
"""A run takes so many times as long as its requests need to arrive, or to be served."""
ARMS: Final = {
    "fcfs": ("fcfs", False),
    "shortest": ("shortest", False),
    "response_ratio(shortest)": ("response_ratio(shortest)", False),
    "shortest@oracle": ("shortest", True),
}
ORACLE: Final = "shortest@oracle"
KEPT: Final = (
    "duration", "completed", "failed", "request_throughput", "output_throughput", "mean_e2el_ms", "median_e2el_ms",
    "p99_e2el_ms", "max_e2el_ms", "mean_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "mean_queue_ms", "p99_queue_ms",
    "max_queue_ms", "mean_slowdown", "max_concurrent_requests", "mean_lateness_ms", "p99_lateness_ms", "late",
)  # fmt: skip
GATEWAY: Final = ("--port", "0", "--journal", "none", "--log-level", "warning", "--log-share", "0")
WORDS: Final = "python -m benchmarks.embedded --out benchmarks/results/embedded.json"


class Said:
    """Progress, a line for each step."""

    def begin(self, what: str, calls: int) -> None:
        """So many calls follow."""
        print(f"{what} ({calls} requests)", file=sys.stderr, flush=True)

    def heard(self, answer: Answer | None) -> None:
        """Nothing: the line was said."""

    def say(self, line: str) -> None:
        """A line."""
        print(line, file=sys.stderr, flush=True)


@dataclass
class Study:
    """What is found, as it is found; `save` writes it."""

    out: Path | None
    found: dict[str, Any] = field(default_factory=dict)

    def note(self, **found: object) -> None:
        """Add to it, and write it down."""
        self.found |= found
        if self.out is not None:
            write_json(self.out, self.found)


async def study(given: argparse.Namespace, notes: Study) -> Comparison:
    """All of it."""
    said = Said()
    calls = calls_of([Prompt.of(text) for text in tiny.prompts(given.requests, given.seed)], given.max_tokens)
    plan = Plan(calls, sample(), "gamma", BURSTINESS, seed=given.seed)
    async with AsyncExitStack() as running:
        rules = Rules.vllm(SLOTS, BUDGET, MEMORY // BLOCK, BLOCK)
        sizes = ("--slots", SLOTS, "--token-budget", BUDGET, "--block-size", BLOCK, "--memory", MEMORY)
        engine = await running.enter_async_context(
            serving("engine", *given.model, "--port", "0", "--policy", "fcfs", *map(str, sizes))
        )
        name = await model_of(engine)
        contenders = []
        for label, (policy, knows) in ARMS.items():
            predictor = "constant" if knows or policy == "fcfs" else given.predictor
            words = ("serve", "--engine", engine, "--policy", policy, "--predictor", predictor, *GATEWAY)
            url = await running.enter_async_context(serving(*words))
            contenders.append(Contender(label, Endpoint(url, name), knows))
        comparison = Comparison(contenders, plan, engine, LOADS, requests=given.requests, concurrency=2 * SLOTS)
        await comparison.prepare(said)
        if comparison.full is None or comparison.capacity is None:
            return comparison
        comparison.plan = replace(comparison.plan, repetitions=fitting(given, comparison.capacity))
        runs = [comparison.full, *await lone_loops(contenders[0].endpoint, calls, said)]
        steps = foretell(comparison, runs, calls, rules, given.predictor, notes)
        said.say(
            f"step time {asdict(steps.step_time)}, R2 {steps.r2:.3f}; simulated to sustain {steps.sustained:.3g}/s"
        )
        comparison.ended = lambda run: notes.note(runs=[*notes.found.get("runs", []), row_of(run)])
        await comparison.repeat(said)
    return comparison


def fitting(given: argparse.Namespace, capacity: float) -> int:
    """How many repetitions end in the time that is given; two in a smoke run."""
    one = DRAIN * len(ARMS) * given.requests / capacity * sum(1 / min(load, 1) for load in LOADS)
    return 2 if given.quick else max(3, min(12, int(60 * given.minutes / one)))


async def lone_loops(endpoint: Endpoint, calls: Sequence[Any], said: Said) -> list[Ran]:
    """Closed loops with fewer under way than there are slots: an iteration's time at other batch sizes."""
    runs = []
    async with Load(endpoint) as load:
        size = min(len(calls) // 3, 40)
        for number, under_way in enumerate((1, 2, SLOTS // 2)):
            some = calls[number * size : (number + 1) * size]
            said.begin(f"closed loop, {under_way} under way", len(some))
            runs.append(await load.closed_loop(some, under_way, name=f"few{under_way}"))
    return runs


def foretell(
    comparison: Comparison, runs: Sequence[Ran], calls: Sequence[Any], rules: Rules, folder: str, notes: Study
) -> Steps:
    """Simulate the waves that follow, and write it down before they do."""
    capacity = comparison.capacity or 0.0
    prompt_tokens = counted(runs[0].answers, calls)
    plan, size, endpoint = comparison.plan, comparison.requests or 0, comparison.contenders[0].endpoint
    first = workload_of(*plan.wave(0, capacity, size), prompt_tokens)
    steps = fitted(runs, rules, first, capacity)
    options = Options(rules, steps.step_time)
    means: dict[str, dict[str, list[float]]] = {}
    for load in LOADS:
        means[f"{load:g}"] = {label: [] for label in ARMS}
        for repetition in range(plan.repetitions):
            wave, at = plan.wave(repetition, load * capacity, size)
            workload = workload_of(wave, at, prompt_tokens)
            prompts = [Prompt.from_body(json.loads(endpoint.body(call))) for call in wave]  # as the gateway reads them
            told = simulated(workload, prompts, ARMS, folder, options)
            for label, mean in told.items():
                means[f"{load:g}"][label].append(mean)
    notes.note(
        capacity=capacity,
        requests=size,
        mean_service_s=SLOTS / capacity,
        wave_in_mean_services={f"{load:g}": size / (load * SLOTS) for load in LOADS},
        repetitions=plan.repetitions,
        burstiness=BURSTINESS,
        engine={"slots": SLOTS, "token_budget": BUDGET, "block_size": BLOCK, "memory": MEMORY},
        output_tokens=spread([call.tokens or 0 for call in plan.calls]),
        prompt_tokens=spread(list(prompt_tokens.values())),
        steps=asdict(steps),
        foretold={
            load: {
                "mean_jct_s": {label: float(np.mean(values)) for label, values in arms.items()},
                "share_of_oracle_gain": shares({label: float(np.mean(values)) for label, values in arms.items()}),
            }
            for load, arms in means.items()
        },
        runs=[],
    )
    return steps


def spread(values: list[int]) -> dict[str, float]:
    """Mean and percentiles of lengths."""
    return {"mean": float(np.mean(values)), **{f"p{p}": float(np.percentile(values, p)) for p in (10, 50, 90, 99)}}


def shares(means: dict[str, float]) -> dict[str, float]:
    """Each arm's gain in mean JCT over `fcfs`, as a share of the oracle's; nothing where it gains nothing."""
    best = means["fcfs"] - means[ORACLE]
    if best <= 0:
        return {}
    return {label: (means["fcfs"] - mean) / best for label, mean in means.items() if label not in {"fcfs", ORACLE}}


def row_of(run: Run) -> dict[str, object]:
    """A run in the file."""
    what = {"policy": run.label, "load": run.load, "repetition": run.repetition, "failures": dict(run.ran.reasons)}
    return {**what, **{key: run.summary[key] for key in KEPT}}


def measured(rows: Sequence[Row], foretold: dict[str, Any]) -> dict[str, object]:
    """What came out at one load, beside what was foretold."""
    by = {row.policy: row for row in rows}
    base = by["fcfs"].values("mean_e2el_ms")
    found: dict[str, object] = {}
    share = shares({label: row.mean("mean_e2el_ms") for label, row in by.items()})
    for label, row in by.items():
        gain = paired_gain(row.values("mean_e2el_ms"), base)
        apart = interval([b - x for b, x in zip(base, row.values("mean_e2el_ms"), strict=True)])
        low = None if apart.half_width is None else apart.mean - apart.half_width
        said = foretold["share_of_oracle_gain"].get(label)
        found[label] = {
            **{key: row.mean(key) for key in ("mean_e2el_ms", "p99_e2el_ms", "p99_ttft_ms", "mean_queue_ms")},
            "max_queue_ms": max(row.values("max_queue_ms")),
            "max_e2el_ms": max(row.values("max_e2el_ms")),
            "gain_percent": gain.mean,
            "gain_half_width": gain.half_width,
            "saved_ms": apart.mean,
            "saved_half_width_ms": apart.half_width,
            "excludes_0": low is not None and low > 0,
            "share_of_oracle_gain": share.get(label),
            "foretold_share": said,
            "points_apart": None if said is None or label not in share else 100 * (share[label] - said),
        }
    return found


def main() -> None:
    """Run the study, print its tables, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--requests", type=int, default=75 * SLOTS)
    parser.add_argument("--minutes", type=float, default=25, help="as many repetitions as fit, but at least three")
    parser.add_argument("--model", nargs=1, default=[], help="another model's folder; the shipped one unless set")
    parser.add_argument("--predictor", default=str(tiny.forecasts()), help="and its forecasts' folder")
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a smoke run: few requests, two repetitions")
    given = parser.parse_args()
    if given.quick:
        given.requests, given.minutes = min(given.requests, 100), 0
    notes = Study(given.out)
    words = " --quick" if given.quick else f" --requests {given.requests} --minutes {given.minutes:g}"
    notes.note(command=WORDS + words, seed=given.seed, versions=versions(), machine=machine())
    comparison = asyncio.run(study(given, notes))
    results = {}
    for load in LOADS:
        if rows := comparison.rows(load):
            print(f"load {load:g} of {comparison.capacity:.3g} requests/s\n")
            print(to_markdown(rows, legend=load == LOADS[-1]))
            results[f"{load:g}"] = measured(rows, notes.found["foretold"][f"{load:g}"])
    notes.note(measured=results, interrupted=comparison.interrupted)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

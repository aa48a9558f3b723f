"""Forecast order against arrival order on the engine of `soonest serve`, and what the simulator said beforehand.

    python -m benchmarks.embedded --out benchmarks/results/embedded.json

One embedded engine with the shipped model, and a gateway for each of `fcfs`, `shortest` and `response_ratio(shortest)`
with the shipped forecasts, and `shortest` told the true lengths. In one run:

1. a closed loop through the `fcfs` gateway measures what is sustained and how long each answer is;
2. closed loops of 1, 2 and half the slots give, with the first, the step times (`benchmarks/foretold.py`);
3. `soonest.sim` runs the very waves that follow, on these step times; what it says is written down;
4. the waves: as many requests as arrive in 60 mean service times, a fixed number for each load, with gamma arrivals at
   0.7, 0.9 and 1.2 of what is sustained, then the drain; policies in another order in each repetition, the same
   requests at the same times for all of a repetition. The highest load is repeated most often: there the shares of the
   oracle's gain are compared with what was foretold.

No request asks a question that the shipped forecasts were fitted on; how many were drawn and left out for it is told.
The file is written anew after each run, so an interrupted benchmark leaves what there is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from benchmarks.foretold import Arms, Known, Steps, apart, fitted, shares_of, workload_of

from soonest.bench import Comparison, Contender, Endpoint, Load, Plan, calls_of
from soonest.bench.comparison import WARM_UP
from soonest.bench.printing import machine, versions
from soonest.bench.probe import model_of
from soonest.bench.servers import QUIET, serving
from soonest.core import Prompt, Rules
from soonest.data import sample
from soonest.engines import tiny
from soonest.engines.tiny.fresh import fresh
from soonest.report import Row, interval, paired_gain, to_markdown, write_json
from soonest.sim import Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.bench import Answer, Call, Ran, Run

SLOTS, BUDGET, BLOCK, MEMORY = 4, 256, 16, 8192
LOADS: Final = (0.7, 0.9, 1.2)
BURSTINESS: Final = 0.5
DRAIN: Final = 1.06
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
FEW: Final = 3
"""Repetitions at all loads."""
LONE: Final = 24
"""Calls of each closed loop that fills no batch."""


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
    questions, left_out = fresh(given.prompts, given.seed, Path(given.predictor))
    notes.note(questions={"asked": len(questions), "share_left_out_as_fitted_on": left_out})
    calls = calls_of([Prompt.of(text) for text in questions], given.max_tokens)
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
            words = ("serve", "--engine", engine, "--policy", policy, "--predictor", predictor, *QUIET)
            url = await running.enter_async_context(serving(*words))
            contenders.append(Contender(label, Endpoint(url, name), knows))
        comparison = Comparison(contenders, plan, engine, given.loads, concurrency=2 * SLOTS)
        await comparison.prepare(said)
        if comparison.full is None or comparison.capacity is None:
            return comparison
        comparison.seconds = given.services * SLOTS / comparison.capacity
        few, many = fitting(given, comparison.seconds)
        comparison.plan = replace(comparison.plan, repetitions=many)
        runs = [comparison.full, *await lone_loops(contenders[0].endpoint, calls, said)]
        steps = foretell(comparison, few, runs, calls, rules, given.predictor, notes)
        said.say(
            f"step time {asdict(steps.step_time)}, R2 {steps.r2:.3f}; simulated to sustain {steps.sustained:.3g}/s"
        )
        comparison.ended = lambda run: notes.note(runs=[*notes.found.get("runs", []), row_of(run)])
        await comparison.repeat(said, range(few))
        await comparison.repeat(said, range(few, many), (max(given.loads),))
    return comparison


def fitting(given: argparse.Namespace, seconds: float) -> tuple[int, int]:
    """Repetitions at all loads and at the highest that end in the time that is given, if a wave arrives in so long."""
    if given.quick:
        return 2, 2
    one = {load: DRAIN * len(ARMS) * seconds * max(load, 1) for load in given.loads}
    left = 60 * given.minutes - FEW * sum(one.values())
    return FEW, FEW + max(0, int(left / one[max(one)]))


async def lone_loops(endpoint: Endpoint, calls: Sequence[Any], said: Said) -> list[Ran]:
    """Closed loops with fewer under way than there are slots: an iteration's time at other batch sizes."""
    runs = []
    async with Load(endpoint) as load:
        size = min(len(calls) // (SLOTS - 1), LONE)
        for number, under_way in enumerate(range(1, SLOTS)):
            some = calls[number * size : (number + 1) * size]
            said.begin(f"closed loop, {under_way} under way", len(some))
            runs.append(await load.closed_loop(some, under_way, name=f"few{under_way}"))
    return runs


def foretell(
    comparison: Comparison, few: int, runs: Sequence[Ran], calls: Sequence[Any], rules: Rules, folder: str, notes: Study
) -> Steps:
    """Simulate the waves that follow, and write it down before they do."""
    capacity = comparison.capacity or 0.0
    known = Known.of(runs[0].answers, calls)
    plan, endpoint = comparison.plan, comparison.contenders[0].endpoint
    sizes = {load: comparison.size(load * capacity) for load in comparison.loads}
    first = workload_of(*plan.wave(0, capacity, max(sizes.values())), known.prompt_tokens)
    steps = fitted(runs, rules, first, capacity)
    arms = Arms.of(ARMS, Options(rules, steps.step_time), folder)

    def seen(some: Sequence[Call]) -> tuple[list[Prompt], list[bool]]:
        """Prompts as the gateway reads them, and whose answers are cut."""
        bodies = [Prompt.from_body(json.loads(endpoint.body(call))) for call in some]
        return bodies, [call.prompt.text in known.cut for call in some]

    warm = plan.calls[:WARM_UP]
    prompts, cut = seen(warm)
    arms.warm(prompts, [call.tokens or 0 for call in warm], cut)
    means: dict[str, dict[str, list[float]]] = {f"{load:g}": {label: [] for label in ARMS} for load in sizes}
    for repetition in range(plan.repetitions):  # in the order in which they are run: predictors learn on the way
        for load, size in sizes.items():
            if repetition >= few and load != max(sizes):
                continue
            wave, at = plan.wave(repetition, load * capacity, size)
            prompts, cut = seen(wave)
            for label, mean in arms.wave(workload_of(wave, at, known.prompt_tokens), prompts, cut).items():
                means[f"{load:g}"][label].append(mean)
    notes.note(
        capacity=capacity,
        requests={f"{load:g}": size for load, size in sizes.items()},
        mean_service_s=SLOTS / capacity,
        wave_in_mean_services={f"{load:g}": size / (load * SLOTS) for load, size in sizes.items()},
        share_cut=sum(call.prompt.text in known.cut for call in plan.calls) / len(plan.calls),
        repetitions={"all loads": few, "highest load": plan.repetitions},
        burstiness=BURSTINESS,
        engine={"slots": SLOTS, "token_budget": BUDGET, "block_size": BLOCK, "memory": MEMORY},
        output_tokens=spread([call.tokens or 0 for call in plan.calls]),
        prompt_tokens=spread(list(known.prompt_tokens.values())),
        steps=asdict(steps),
        foretold={
            load: {
                "mean_jct_s": {label: float(np.mean(values)) for label, values in told.items()},
                "mean_jct_s_by_repetition": told,
                "share_of_oracle_gain": shares_of(told, range(len(told[ORACLE])), ORACLE),
            }
            for load, told in means.items()
        },
        runs=[],
    )
    return steps


def spread(values: list[int]) -> dict[str, float]:
    """Mean and percentiles of lengths."""
    return {"mean": float(np.mean(values)), **{f"p{p}": float(np.percentile(values, p)) for p in (10, 50, 90, 99)}}


def row_of(run: Run) -> dict[str, object]:
    """A run in the file."""
    what = {"policy": run.label, "load": run.load, "repetition": run.repetition, "num_prompts": len(run.ran.answers)}
    became = {"failures": dict(run.ran.reasons), "engine_idle": run.idle}
    return {**what, **became, **{key: run.summary[key] for key in KEPT}}


def measured(rows: Sequence[Row], foretold: Mapping[str, Any]) -> dict[str, object]:
    """What came out at one load, beside what was foretold."""
    by = {row.policy: row for row in rows}
    base = by["fcfs"].values("mean_e2el_ms")
    found: dict[str, object] = {}
    came = {label: row.values("mean_e2el_ms") for label, row in by.items()}
    share = shares_of(came, range(len(base)), ORACLE)
    for label, row in by.items():
        gain = paired_gain(row.values("mean_e2el_ms"), base)
        saved = interval([b - x for b, x in zip(base, row.values("mean_e2el_ms"), strict=True)])
        low = None if saved.half_width is None else saved.mean - saved.half_width
        points = apart(label, came, foretold["mean_jct_s_by_repetition"], ORACLE) if label in share else None
        found[label] = {
            **{key: row.mean(key) for key in ("mean_e2el_ms", "p99_e2el_ms", "p99_ttft_ms", "mean_queue_ms")},
            "max_queue_ms": max(row.values("max_queue_ms")),
            "max_e2el_ms": max(row.values("max_e2el_ms")),
            "gain_percent": gain.mean,
            "gain_half_width": gain.half_width,
            "saved_ms": saved.mean,
            "saved_half_width_ms": saved.half_width,
            "excludes_0": low is not None and low > 0,
            "share_of_oracle_gain": share.get(label),
            "share_by_repetition": [shares_of(came, [r], ORACLE).get(label) for r in range(len(base))],
            "foretold_share": foretold["share_of_oracle_gain"].get(label),
            "points_apart": None if points is None else points.mean,
            "points_apart_half_width": None if points is None else points.half_width,
        }
    return found


def main() -> None:
    """Run the study, print its tables, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--services", type=float, default=60, help="mean service times in which a wave arrives")
    parser.add_argument("--prompts", type=int, default=75 * SLOTS, help="to draw waves from")
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS)
    parser.add_argument(
        "--minutes", type=float, default=21, help="of waves: as many repetitions as fit, at least three"
    )
    parser.add_argument("--model", nargs=1, default=[], help="another model's folder; the shipped one unless set")
    parser.add_argument("--predictor", default=str(tiny.forecasts()), help="and its forecasts' folder")
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a smoke run: few and short answers, two repetitions")
    given = parser.parse_args()
    if given.quick:
        given.prompts, given.services, given.max_tokens = 40, 5, 64
    notes = Study(given.out)
    words = [
        "python",
        "-m",
        "benchmarks.embedded",
        *(Path(word).name if "/" in word else word for word in sys.argv[1:]),
    ]
    notes.note(command=shlex.join(words), seed=given.seed, versions=versions(), machine=machine())
    comparison = asyncio.run(study(given, notes))
    results = {}
    for load in given.loads:
        if rows := comparison.rows(load):
            print(f"load {load:g} of {comparison.capacity:.3g} requests/s\n")
            print(to_markdown(rows, legend=load == given.loads[-1]))
            results[f"{load:g}"] = measured(rows, notes.found["foretold"][f"{load:g}"])
    notes.note(measured=results, interrupted=comparison.interrupted)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

"""What order is worth in real vLLM: a burst that queues, under several policies, with the simulator's word beforehand.

    python -m benchmarks.vllm_benefit --trace servegen_mlarge.csv.gz --out benchmarks/results/vllm_benefit.json

vLLM in this process runs the model that comes with the package. Prompts and answers have the lengths of a trace: those
of its calls with prompts of at most 600 tokens and answers of at most 200. With ample and with tight KV memory:

1. a closed loop under vLLM's own scheduler measures capacity and each iteration, from which step times are fitted;
2. the simulator runs the very waves that follow; what it says is written to the file;
3. waves of `--requests` requests with gamma arrivals at 0.7, 0.9 and 1.2 of that capacity, then the drain; policies in
   another order in each repetition, all on the same requests, arrivals and forecasts. The highest load is repeated
   as often as `--minutes` allow, at least three times, the others twice.

Seconds are those of the engine's one thread on the processor at the machine's speed in the closed loop: what an
iteration takes is divided by how much slower the last hundred were than the fitted step times say. So other work on
the machine matters little, and what a policy itself takes is left out (`vllm_cost.py` measures it). While nobody runs
the clock leaps to the next arrival.

Forecasts are right up to a log-normal error, as wide as makes Kendall's tau with the truth `--tau`; `oracle` is told
the truth. The file is written anew after each run, so an interrupted benchmark leaves what there is.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from benchmarks.foretold import apart, shares_of
from benchmarks.vllm_machine import BLOCK, BUDGET, LONGEST_ANSWER, LONGEST_PROMPT, Clock, Machine, Wave
from vllm.version import __version__ as version

from soonest.bench.printing import machine as this_machine
from soonest.core import Rules
from soonest.data import Trace, read_trace
from soonest.report import paired_gain, write_json
from soonest.sim import Options, simulate
from soonest.sim.steptime import SECOND, fit_steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.sim import StepTime

LOADS: Final = (0.7, 0.9, 1.2)
BURSTINESS: Final = 0.5
TIGHT: Final = 0.4
"""Tight memory is this part of what every slot needs with the longest request."""
ARMS: Final[Mapping[str, tuple[str, bool]]] = {
    "fcfs": ("fcfs", False),
    "priority mode": ("priority", False),
    "shortest": ("shortest", False),
    "response_ratio(shortest)": ("response_ratio(shortest)", False),
    "a_min": ("a_min", False),
    "oracle": ("shortest", True),
}
"""A policy, or vLLM's own `priority` with the forecast as the priority; and whether it is told the truth."""
DRAIN: Final = 1.05
"""A run takes so many times as long as its requests need to be served."""
FEW: Final = 2
"""Repetitions at the lower loads."""
LEAST: Final = 3
"""Repetitions at the highest load, at least."""
MOST: Final = 8
"""Repetitions that are enough."""
MEASURES: Final = ("mean", "p99", "max")
APART: Final = 10
"""Points by which a share of the oracle's gain may differ from the simulator's."""


def tau(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Kendall's tau-b."""
    x, y = np.sign(a[:, None] - a[None, :]), np.sign(b[:, None] - b[None, :])
    return float((x * y).sum() / np.sqrt((x != 0).sum() * (y != 0).sum()))


def spread_for(lengths: NDArray[np.int64], wanted: float) -> float:
    """The width of log-normal errors with which forecasts and truth agree in rank as wanted."""
    noise = np.random.default_rng(7).standard_normal(len(lengths))
    low, high = 0.0, 5.0
    for _ in range(12):
        middle = (low + high) / 2
        if tau(lengths, np.clip(lengths * np.exp(middle * noise), 1, LONGEST_ANSWER)) > wanted:
            low = middle
        else:
            high = middle
    return low


@dataclass
class Study:
    """What is asked, and what is found, as it is found."""

    given: argparse.Namespace
    trace: Trace
    found: dict[str, Any] = field(default_factory=dict)
    repetitions: int = 0
    runs: int = 0
    seconds: float = 0.0
    begun: float = 0.0

    def __post_init__(self) -> None:
        prompts, answers = self.trace.prompt_tokens, self.trace.output_tokens
        self.kept = np.flatnonzero(
            (prompts >= 1) & (prompts <= LONGEST_PROMPT) & (answers >= 1) & (answers <= LONGEST_ANSWER)
        )
        some = np.random.default_rng(self.given.seed).choice(self.kept, 1000, replace=False)
        self.spread = spread_for(answers[some], self.given.tau)

    def say(self, line: str) -> None:
        """Progress."""
        print(line, file=sys.stderr, flush=True)

    def save(self) -> None:
        """Write down what there is."""
        write_json(self.given.out, self.found)

    def wave(self, repetition: int, rate: float, n: int) -> Wave:
        """`n` calls of the trace at so many a second: the same calls and errors at every rate."""
        chance = np.random.default_rng((self.given.seed, repetition))
        rows = chance.choice(self.kept, n, replace=False)
        output = self.trace.output_tokens[rows].astype(np.int64)
        guess = np.clip(output * np.exp(self.spread * chance.standard_normal(n)), 1, LONGEST_ANSWER)
        arrival = np.cumsum(chance.gamma(BURSTINESS, 1 / (BURSTINESS * rate), n))
        return Wave(self.trace.prompt_tokens[rows].astype(np.int64), output, arrival, guess, self.spread)

    def plan(self, capacities: Sequence[float]) -> None:
        """As many repetitions as fit, and how long they take."""
        once = DRAIN * len(ARMS) * sum(self.given.requests / capacity for capacity in capacities)  # the clock leaps
        low = FEW * (len(LOADS) - 1)
        self.repetitions = max(LEAST, min(MOST, int(60 * self.given.minutes / once) - low))
        self.runs = (self.repetitions + low) * len(capacities) * len(ARMS)
        self.seconds, self.begun = (self.repetitions + low) * once, time.monotonic()
        self.say(f"{self.runs} runs of {self.given.requests} requests, about {self.seconds / 60:.0f} min")

    def waves(self, capacity: float) -> dict[str, list[Wave]]:
        """The repetitions at each load."""
        many = {load: self.repetitions if load == max(LOADS) else FEW for load in LOADS}
        return {f"{k:g}": [self.wave(r, k * capacity, self.given.requests) for r in range(many[k])] for k in LOADS}


def foretold(waves: Mapping[str, Sequence[Wave]], step_time: StepTime, slots: int, blocks: int) -> dict[str, Any]:
    """What the simulator says, by load, arm and repetition."""
    options = Options(rules=Rules.vllm(slots, BUDGET, blocks, BLOCK), step_time=step_time)
    told: dict[str, Any] = {}
    for load, repetitions in waves.items():
        rows = told[load] = {}
        for name, (policy, truth) in ARMS.items():
            words = "shortest" if policy == "priority" else policy
            columns: dict[str, list[float]] = {measure: [] for measure in MEASURES}
            for wave in repetitions:
                records = simulate(wave.workload(truth=truth), words, options).records
                note(columns, np.asarray(records.finished - records.arrival))
            rows[name] = columns
        told[load]["share_of_oracle"] = shares(rows)
    return told


def note(columns: dict[str, list[float]], seconds: NDArray[np.float64]) -> None:
    """One run's figures into their columns."""
    values = seconds.mean(), np.quantile(seconds, 0.99), seconds.max()
    for measure, value in zip(MEASURES, values, strict=True):
        columns[measure].append(float(value))


def shares(rows: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """Which part of the oracle's gain over `fcfs` each arm has."""
    means = {name: rows[name]["mean"] for name in ARMS}
    return shares_of(means, range(len(means["fcfs"])), "oracle")


def served(
    study: Study, vllm: Machine, clock: Clock, waves: Mapping[str, Sequence[Wave]], part: dict[str, Any]
) -> None:
    """Every arm on every wave, in an order drawn anew for each."""
    blocks = part["blocks"]
    part["measured"] = {load: {name: empty() for name in ARMS} for load in waves}
    chance = np.random.default_rng(study.given.seed)
    for repetition in range(study.repetitions):
        for load, repetitions in waves.items():
            for name in chance.permutation(list(ARMS)) if repetition < len(repetitions) else ():
                policy, truth = ARMS[name]
                vllm.use(policy, blocks)
                gc.collect()
                seconds = vllm.serve(repetitions[repetition], clock, truth=truth)
                columns = part["measured"][load][name]
                note(columns, seconds)
                columns["preemptions"].append(vllm.preempted)
                columns["slowness"].append(clock.slowness)
                study.save()
                study.runs -= 1
                left = study.seconds - (time.monotonic() - study.begun)
                study.say(
                    f"{blocks} blocks, load {load}, repetition {repetition}: {name}, mean {seconds.mean():.2f} s, "
                    f"machine {clock.slowness:.2f} times as slow; "
                    f"{study.runs} runs and about {max(0, left) / 60:.0f} min left"
                )


def empty() -> dict[str, list[float]]:
    """Columns to come."""
    return {measure: [] for measure in (*MEASURES, "preemptions", "slowness")}


def compared(part: dict[str, Any], load: str) -> dict[str, Any]:
    """What the arms gain over `fcfs`, and how their shares of the oracle's gain stand beside what was foretold."""
    came, told = part["measured"][load], part["foretold"][load]
    means, expected = ({name: rows[name]["mean"] for name in ARMS} for rows in (came, told))
    measured = shares(came)
    found = {}
    for name in ARMS:
        gain = paired_gain(means[name], means["fcfs"])
        points = apart(name, means, expected, "oracle") if name in measured else None
        found[name] = {
            "gain_percent": gain.mean,
            "gain_half_width": gain.half_width,
            "share_of_oracle": measured.get(name),
            "foretold_share": told["share_of_oracle"].get(name),
            "points_apart": None if points is None else points.mean,
            "points_apart_half_width": None if points is None else points.half_width,
        }
    return found


def show(memory: str, part: dict[str, Any]) -> None:
    """A table a load, and whether what must hold does."""
    for load, rows in part["compared"].items():
        print(f"\n{memory} memory ({part['blocks']} blocks), load {load} of {part['capacity_rps']:.3g} requests/s\n")
        print("| policy | mean s | p99 s | max s | gain % | share of the oracle's | foretold | preemptions |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, row in rows.items():
            came = part["measured"][load][name]
            print(
                f"| `{name}` | {np.mean(came['mean']):.3f} | {np.mean(came['p99']):.3f} | {np.max(came['max']):.3f} "
                f"| {number(row['gain_percent'], 1)} +- {number(row['gain_half_width'], 1)} "
                f"| {number(row['share_of_oracle'], 2)} | {number(row['foretold_share'], 2)} "
                f"| {np.mean(came['preemptions']):.1f} |"
            )
    for name, row in part["compared"]["1.2"].items():
        if name != "fcfs":
            clear = row["gain_half_width"] is not None and row["gain_percent"] > row["gain_half_width"]
            near = row["points_apart"] is not None and abs(row["points_apart"]) <= APART
            print(f"{name} at 1.2: interval above 0: {clear}; within {APART} points of the simulator: {near}")


def number(value: float | None, digits: int) -> str:
    """Nothing where there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def main() -> None:
    """Measure capacity, let the simulator speak, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", required=True)
    parser.add_argument("--requests", type=int, default=160, help="of a wave")
    parser.add_argument("--closed", type=int, default=200, help="requests that measure capacity")
    parser.add_argument("--minutes", type=float, default=45, help="of waves: as many repetitions as fit")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--tau", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    study = Study(given, read_trace(given.trace))
    asked = {key: value for key, value in vars(given).items() if key != "out"}
    asked["trace"] = Path(given.trace).name
    study.found |= {"vllm": version, "machine": this_machine(), "asked": asked, "burstiness": BURSTINESS}
    ample = given.slots * -(-(LONGEST_PROMPT + LONGEST_ANSWER) // BLOCK)
    vllm, parts = Machine(given.slots, ample), {"ample": ample, "tight": int(TIGHT * ample)}
    vllm.use("fifo", ample)
    vllm.closed_loop(study.wave(MOST, 1.0, max(2 * given.slots, given.closed // 4)))  # warm up
    fits = {}
    for memory, blocks in parts.items():
        vllm.use("fifo", blocks)
        full, ended, rows = vllm.closed_loop(study.wave(MOST + 1, 1.0, given.closed))
        fit = fits[memory] = fit_steps(rows)
        said = [fit.steptime.duration(*map(int, row[:3])) / SECOND for row in rows[:full]]
        capacity = ended / sum(said)
        study.found[memory] = {
            "blocks": blocks,
            "capacity_rps": capacity,
            "step_time": asdict(fit.steptime),
            "iterations": {"n": fit.n, "median_error": fit.median_error, "p99_error": fit.p99_error, "r2": fit.r2},
        }
        study.say(f"{memory} memory: {capacity:.2f} requests/s; {fit.n} iterations, R2 {fit.r2:.3f}")
    study.plan([study.found[memory]["capacity_rps"] for memory in parts])
    waves = {memory: study.waves(study.found[memory]["capacity_rps"]) for memory in parts}
    for memory, blocks in parts.items():
        told = foretold(waves[memory], fits[memory].steptime, given.slots, blocks)
        study.found[memory]["foretold"] = told
    taus = [tau(wave.output, wave.guess) for wave in waves["ample"]["1.2"]]
    study.found |= {
        "repetitions": {load: len(each) for load, each in waves["ample"].items()},
        "spread": study.spread,
        "taus": taus,
    }
    study.save()  # the simulator's word comes first
    for memory in parts:
        part = study.found[memory]
        served(study, vllm, Clock(fits[memory].steptime), waves[memory], part)
        part["compared"] = {load: compared(part, load) for load in part["measured"]}
        study.save()
        show(memory, part)


if __name__ == "__main__":
    main()

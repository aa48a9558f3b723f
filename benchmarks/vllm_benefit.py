"""What order is worth in real vLLM: a burst that queues, under several policies, with the simulator's word beforehand.

    python -m benchmarks.vllm_benefit --trace servegen_mlarge.csv.gz --out benchmarks/results/vllm_benefit.json
    python -m benchmarks.vllm_benefit --gpu --trace servegen_mlarge.csv.gz --out benchmarks/results/vllm_gpu.json

vLLM in this process runs the model that comes with the package, or with `--gpu` one of Llama 3 8B's size with random
weights. Prompts and answers have the lengths of a trace: those of its calls with prompts of at most 600 tokens and
answers of at most 200. With ample and with tight KV memory:

1. a closed loop under vLLM's own scheduler measures capacity and each iteration, from which step times are fitted;
2. the simulator runs the very waves that follow; what it says is written to the file;
3. waves of `--requests` requests with gamma arrivals at 0.7, 0.9 and 1.2 of that capacity, then the drain; policies in
   another order in each repetition, all on the same requests, arrivals and forecasts. The highest load is repeated
   as often as `--minutes` allow, at least three times, the others twice.

Seconds are those of the engine's one thread on the processor at the machine's speed in the closed loop: what an
iteration takes is divided by how much slower the last hundred were than the fitted step times say. So other work on
the machine matters little, and what a policy itself takes is left out (`vllm_cost.py` measures it). With `--gpu` they
are seconds of the wall clock. While nobody runs the clock leaps to the next arrival.

Forecasts are right up to a log-normal error, as wide as makes Kendall's tau with the truth `--tau`; `oracle` is told
the truth. The file is written anew after each run, so an interrupted benchmark leaves what there is.
"""

from __future__ import annotations

import argparse
import gc
import shlex
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from benchmarks.vllm_machine import BLOCK, LONGEST_ANSWER, LONGEST_PROMPT, Clock, Machine, Wave
from benchmarks.vllm_places import gpu, processor
from benchmarks.vllm_table import ARMS, MEASURES, compared, empty, note, shares, show
from vllm.version import __version__ as version

from soonest.bench.printing import machine, versions
from soonest.core import Rules
from soonest.data import Trace, read_trace
from soonest.report import write_json
from soonest.sim import Options, simulate
from soonest.sim.steptime import SECOND, fit_steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.vllm_places import Place
    from numpy.typing import NDArray

    from soonest.sim import StepTime

LOADS: Final = (0.7, 0.9, 1.2)
BURSTINESS: Final = 0.5
TIGHT: Final = 0.4
"""Tight memory is this part of what every slot needs with the longest request."""
STALL: Final = 20
"""An iteration that takes so many times what the median takes is no measure of anything: something was compiled."""
DRAIN: Final = 1.05
"""A run takes so many times as long as its requests need to be served."""
FEW: Final = 2
"""Repetitions at the lower loads."""
LEAST: Final = 3
"""Repetitions at the highest load, at least."""
MOST: Final = 8
"""Repetitions that are enough."""


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
        low = FEW * (len(self.given.loads) - 1)
        self.repetitions = max(LEAST, min(MOST, int(60 * self.given.minutes / once) - low))
        self.runs = (self.repetitions + low) * len(capacities) * len(ARMS)
        self.seconds, self.begun = (self.repetitions + low) * once, time.monotonic()
        self.say(f"{self.runs} runs of {self.given.requests} requests, about {self.seconds / 60:.0f} min")

    def waves(self, capacity: float) -> dict[str, list[Wave]]:
        """The repetitions at each load."""
        loads = self.given.loads
        many = {load: self.repetitions if load == max(loads) else FEW for load in loads}
        return {f"{k:g}": [self.wave(r, k * capacity, self.given.requests) for r in range(many[k])] for k in loads}


def foretold(waves: Mapping[str, Sequence[Wave]], step_time: StepTime, place: Place, blocks: int) -> dict[str, Any]:
    """What the simulator says, by load, arm and repetition."""
    options = Options(rules=Rules.vllm(place.slots, place.budget, blocks, BLOCK), step_time=step_time)
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


def main() -> None:
    """Measure capacity, let the simulator speak, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", required=True)
    parser.add_argument("--requests", type=int, default=160, help="of a wave")
    parser.add_argument("--closed", type=int, default=200, help="requests that measure capacity")
    parser.add_argument("--minutes", type=float, default=45, help="of waves: as many repetitions as fit")
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS)
    parser.add_argument("--memory", nargs="+", choices=("ample", "tight"), default=("ample", "tight"))
    parser.add_argument("--gpu", action="store_true", help="a model of 8 billion random weights on a GPU")
    parser.add_argument("--tau", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    study = Study(given, read_trace(given.trace))
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    study.found |= {
        "command": shlex.join(["python", "-m", "benchmarks.vllm_benefit", *words]),
        "versions": versions() | {"vllm": version, "torch": torch.__version__},
        "machine": machine() | ({"gpu": torch.cuda.get_device_name()} if given.gpu else {}),
        "asked": {key: value for key, value in vars(given).items() if key not in {"out", "trace"}},
        "burstiness": BURSTINESS,
        "longest": {"prompt": LONGEST_PROMPT, "answer": LONGEST_ANSWER},
    }
    with tempfile.TemporaryDirectory() as folder:
        measure(study, gpu(Path(folder)) if given.gpu else processor())


def together(rows: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The means of each `n` rows that follow each other."""
    whole = len(rows) // n * n
    means: NDArray[np.float64] = rows[:whole].reshape(-1, n, rows.shape[1]).mean(axis=1)
    return means


def measure(study: Study, place: Place) -> None:
    """Capacity first, then the simulator's word, then the waves."""
    given = study.given
    ample = place.slots * -(-(LONGEST_PROMPT + LONGEST_ANSWER) // BLOCK)
    parts = {memory: ample if memory == "ample" else int(TIGHT * ample) for memory in given.memory}
    vllm = Machine(place, ample)
    study.found["engine"] = {"slots": place.slots, "token_budget": place.budget, "block_size": BLOCK}
    vllm.use("fifo", ample)
    vllm.closed_loop(study.wave(MOST, 1.0, given.closed))  # warm up: every shape is met and compiled
    fits = {}
    for memory, blocks in parts.items():
        vllm.use("fifo", blocks)
        full, ended, rows = vllm.closed_loop(study.wave(MOST + 1, 1.0, given.closed))
        usual = rows[:, 3] < STALL * np.median(rows[:, 3])
        fit = fits[memory] = fit_steps(together(rows[usual], place.together))
        said = [fit.steptime.duration(*map(int, row[:3])) / SECOND for row in rows[:full]]
        capacity = ended / (rows[:full, 3].sum() if place.steady else sum(said))
        study.found[memory] = {
            "blocks": blocks,
            "capacity_rps": capacity,
            "step_time": asdict(fit.steptime),
            "iterations": {
                "n": len(rows),
                "fitted_together": place.together,
                "stalls": int((~usual).sum()),
                "median_error": fit.median_error,
                "p99_error": fit.p99_error,
                "r2": fit.r2,
            },
        }
        study.say(f"{memory} memory: {capacity:.2f} requests/s; {fit.n} iterations, R2 {fit.r2:.3f}")
    study.plan([study.found[memory]["capacity_rps"] for memory in parts])
    waves = {memory: study.waves(study.found[memory]["capacity_rps"]) for memory in parts}
    for memory, blocks in parts.items():
        told = foretold(waves[memory], fits[memory].steptime, place, blocks)
        study.found[memory]["foretold"] = told
    first = waves[given.memory[0]]
    taus = [tau(wave.output, wave.guess) for wave in first[f"{max(given.loads):g}"]]
    study.found |= {
        "repetitions": {load: len(each) for load, each in first.items()},
        "spread": study.spread,
        "taus": taus,
    }
    study.save()  # the simulator's word comes first
    for memory in parts:
        part = study.found[memory]
        served(study, vllm, Clock(fits[memory].steptime, place.steady), waves[memory], part)
        part["compared"] = {load: compared(part, load) for load in part["measured"]}
        study.save()
        show(memory, part)


if __name__ == "__main__":
    main()

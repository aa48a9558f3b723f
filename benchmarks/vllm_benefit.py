# ruff: noqa: E402 - vLLM reads its variables when it is imported
"""What order is worth in real vLLM: a burst that queues, under several policies, with the simulator's word beforehand.

    python benchmarks/vllm_benefit.py --trace azure_conv_2023.csv.gz --out benchmarks/results/vllm_benefit.json

One engine in this process runs the model that comes with the package; prompts and answers have the lengths of a trace,
cut to what the model holds. Capacity is measured closed-loop first, with every slot taken, and so are the iterations,
from which the simulator's step time is fitted. A run is `--requests` requests that arrive at random at 0.7, 0.9 or 1.2
of that capacity, then the drain. Forecasts are right up to a log-normal error, as wide as makes Kendall's tau with the
truth `--tau`; `oracle` is told the truth. All policies serve the same requests in each repetition, in an order drawn
anew. What the simulator expects is written to the file before the first run.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
for _name, _value in (
    ("VLLM_CPU_KVCACHE_SPACE", "1"),
    ("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
    ("OMP_NUM_THREADS", "1"),
    ("HF_HUB_OFFLINE", "1"),
    ("VLLM_NO_USAGE_STATS", "1"),
    ("DO_NOT_TRACK", "1"),
):
    os.environ.setdefault(_name, _value)

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - beside the variables above
from vllm import EngineArgs, SamplingParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.engine.llm_engine import LLMEngine
from vllm.version import __version__ as version

from soonest.core import Forecast, Rules
from soonest.data import read_trace
from soonest.engines import tiny
from soonest.engines.vllm import Scheduler
from soonest.report.compare import paired_gain
from soonest.sim import Options, StepTime, Workload, simulate
from soonest.sim.forecasts import Beliefs
from soonest.sim.steptime import fit_steps

LOADS = (0.7, 0.9, 1.2)
BLOCK, BUDGET, LONGEST_PROMPT, LONGEST_ANSWER = 32, 512, 600, 300
ARMS: dict[str, tuple[str, bool]] = {
    "fcfs": ("fcfs", False),
    "priority mode": ("priority", False),
    "shortest": ("shortest", False),
    "response_ratio(shortest)": ("response_ratio(shortest)", False),
    "a_min": ("a_min", False),
    "oracle": ("shortest", True),
}
"""A policy, or vLLM's own `priority` with the forecast as the priority; and whether it is told the truth."""


@dataclass(frozen=True)
class Load:
    """The requests of one repetition: tokens of each, when it arrives, and what is forecast of it."""

    prompt: NDArray[np.int64]
    output: NDArray[np.int64]
    arrival: NDArray[np.float64]
    guess: NDArray[np.float64]
    spread: float

    def told(self, i: int, *, truth: bool) -> tuple[float, float, float]:
        """Low, expected, high."""
        if truth:
            n = float(self.output[i])
            return n, n, n
        middle = float(self.guess[i])
        reach = float(np.exp(1.2816 * self.spread))  # four answers of five lie within
        return max(1.0, middle / reach), middle, min(middle * reach, float(LONGEST_ANSWER))

    def workload(self, *, truth: bool) -> Workload:
        """The same for the simulator."""
        table = tuple(Forecast.hint(*self.told(i, truth=truth)) for i in range(len(self.prompt)))
        return Workload(
            self.arrival,
            self.prompt,
            self.output,
            Beliefs(table, np.arange(len(table), dtype=np.int32)),
            max_tokens=self.output,
        )


class Machine:
    """vLLM in this process; its scheduler is replaced between runs, while nobody runs."""

    def __init__(self, slots: int, blocks: int) -> None:
        self.slots, self.blocks = slots, blocks
        self.engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=str(tiny.path()),
                dtype="float32",
                enforce_eager=True,
                max_model_len=1024,
                max_num_seqs=slots,
                max_num_batched_tokens=BUDGET,
                block_size=BLOCK,
                num_gpu_blocks_override=blocks + 1,
                enable_prefix_caching=False,
            ),
            enable_multiprocessing=False,
        )
        core: Any = self.engine.engine_core
        self.core = core.engine_core
        self.first = self.core.scheduler

    def use(self, policy: str, blocks: int) -> None:
        """Another scheduler, on so many of the blocks."""
        config = self.core.vllm_config
        config.scheduler_config.policy = "priority" if policy == "priority" else "fcfs"
        config.additional_config = {"soonest": {"policy": policy}}
        made = (AsyncScheduler if policy in {"priority", "vllm"} else Scheduler)(
            vllm_config=config,
            kv_cache_config=replace(self.first.kv_cache_config, num_blocks=blocks + 1),
            structured_output_manager=self.core.structured_output_manager,
            block_size=self.first.block_size,
            hash_block_size=self.first.hash_block_size,
            log_stats=True,
        )
        made.finished_req_ids |= self.core.scheduler.finished_req_ids
        self.core.scheduler = made

    def add(self, load: Load, i: int, *, truth: bool) -> None:
        """A request of its length, with its forecast."""
        low, expected, high = load.told(i, truth=truth)
        tokens = np.random.default_rng(i).integers(4, 700, int(load.prompt[i])).tolist()
        params = SamplingParams(
            temperature=0.0,
            max_tokens=int(load.output[i]),
            ignore_eos=True,
            extra_args={"soonest_forecast": [low, expected, high]},
        )
        self.engine.add_request(str(i), {"prompt_token_ids": tokens}, params, priority=round(expected))

    def serve(self, load: Load, *, truth: bool) -> tuple[NDArray[np.float64], int]:
        """Seconds from arrival to end of each request, and preemptions, where our scheduler counts them."""
        n, came = len(load.arrival), 0
        ended = np.full(n, np.nan)
        begun = time.perf_counter()
        while came < n or self.engine.has_unfinished_requests():
            now = time.perf_counter() - begun
            if not self.engine.has_unfinished_requests() and load.arrival[came] > now:
                time.sleep(load.arrival[came] - now)
                now = float(load.arrival[came])
            while came < n and load.arrival[came] <= now:
                self.add(load, came, truth=truth)
                came += 1
            for output in self.engine.step():
                if output.finished:
                    ended[int(output.request_id)] = time.perf_counter() - begun
        board = getattr(self.core.scheduler, "board", None)
        return ended - load.arrival, 0 if board is None else board["evictions"]

    def iterations(self, load: Load) -> tuple[float, NDArray[np.float64]]:
        """Closed-loop, every slot taken: requests a second while all are, and a row for each iteration."""
        rows, ends = [], []
        for i in range(len(load.prompt)):
            self.add(load, i, truth=True)
        scheduler = self.core.scheduler
        schedule, seen = scheduler.schedule, {}

        def watched(*args: Any, **kwargs: Any) -> Any:
            computed = {r.request_id: r.num_computed_tokens for r in scheduler.running}
            output = schedule(*args, **kwargs)
            counts = output.num_scheduled_tokens
            decoding = {name for name, n in counts.items() if n == 1 and name in computed}
            context = sum(computed.get(name, 0) + n for name, n in counts.items())
            prefill = sum(n for name, n in counts.items() if name not in decoding)
            seen["row"] = (prefill, len(counts), context)
            return output

        scheduler.schedule = watched
        begun = last = time.perf_counter()
        full = begun
        while self.engine.has_unfinished_requests():
            outputs = self.engine.step()
            now = time.perf_counter()
            rows.append((*seen["row"], now - last))
            last = now
            ends += [now] * sum(output.finished for output in outputs)
            if len(scheduler.waiting):
                full = now
        del scheduler.schedule
        before = sum(end <= full for end in ends)
        return before / (full - begun), np.array(rows, dtype=np.float64)


def tau(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Kendall's tau-b."""
    x, y = np.sign(a[:, None] - a[None, :]), np.sign(b[:, None] - b[None, :])
    return float((x * y).sum() / np.sqrt((x != 0).sum() * (y != 0).sum()))


def spread_for(lengths: NDArray[np.int64], wanted: float) -> float:
    """The width of log-normal errors with which forecasts and truth agree in rank as wanted."""
    noise = np.random.default_rng(7).standard_normal(len(lengths))
    low, high = 0.0, 5.0
    for _ in range(30):
        middle = (low + high) / 2
        if tau(lengths, lengths * np.exp(middle * noise)) > wanted:
            low = middle
        else:
            high = middle
    return low


def loads(given: argparse.Namespace, capacity: float, load: float) -> list[Load]:
    """The repetitions at one load: other rows of the trace, other arrivals, other errors."""
    trace = read_trace(given.trace)
    kept = np.flatnonzero((trace.prompt_tokens >= 1) & (trace.prompt_tokens <= LONGEST_PROMPT))
    found = []
    for repetition in range(given.repetitions):
        chance = np.random.default_rng((given.seed, repetition))
        rows = chance.choice(kept, given.requests, replace=False)
        output = np.clip(trace.output_tokens[rows], 1, LONGEST_ANSWER).astype(np.int64)
        spread = spread_for(output, given.tau)
        guess = np.clip(output * np.exp(spread * chance.standard_normal(len(rows))), 1, LONGEST_ANSWER)
        arrival = np.cumsum(chance.exponential(1 / (load * capacity), len(rows)))
        found.append(Load(trace.prompt_tokens[rows].astype(np.int64), output, arrival, guess, spread))
    return found


def expected(sets: dict[str, list[Load]], step: StepTime, slots: int, blocks: int) -> dict[str, Any]:
    """What the simulator says: mean completion time by load and policy, over the repetitions."""
    options = Options(rules=Rules.vllm(slots, BUDGET, blocks, BLOCK), step_time=step)
    told: dict[str, Any] = {}
    for load, repetitions in sets.items():
        told[load] = {}
        for name, (policy, truth) in ARMS.items():
            words = "shortest" if policy == "priority" else policy
            means = []
            for one in repetitions:
                records = simulate(one.workload(truth=truth), words, options).records
                means.append(float((records.finished - records.arrival).mean()))
            told[load][name] = means
        told[load]["share_of_oracle"] = {name: share(told[load], name) for name in ARMS}
    return told


def share(means: dict[str, Any], name: str) -> float:
    """Which part of the oracle's gain over `fcfs` a policy has."""
    base, best, mine = (float(np.mean(means[arm])) for arm in ("fcfs", "oracle", name))
    return (base - mine) / (base - best) if base != best else float("nan")


def main() -> None:
    """Measure capacity, let the simulator speak, run, compare."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--trace", required=True)
    asked.add_argument("--requests", type=int, default=300)
    asked.add_argument("--closed", type=int, default=300, help="requests that measure capacity")
    asked.add_argument("--repetitions", type=int, default=5)
    asked.add_argument("--slots", type=int, default=8)
    asked.add_argument("--tau", type=float, default=0.6)
    asked.add_argument("--load", type=float, action="append")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--out", type=Path, required=True)
    given = asked.parse_args()
    ample = given.slots * -(-(LONGEST_PROMPT + LONGEST_ANSWER) // BLOCK)
    machine = Machine(given.slots, ample)
    machine.use("vllm", ample)
    machine.iterations(loads(replace_requests(given, max(2 * given.slots, given.closed // 4)), 1.0, 1.0)[0])  # warm up
    machine.use("vllm", ample)
    capacity, rows = machine.iterations(loads(replace_requests(given, given.closed), 1.0, 1.0)[0])
    step = fit_steps(rows)
    report: dict[str, Any] = {
        "vllm": version,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "asked": {k: str(v) for k, v in vars(given).items()},
        "capacity_rps": capacity,
        "iteration_error": {"median": step.median_error, "p99": step.p99_error, "r2": step.r2},
    }
    print(f"capacity {capacity:.2f} requests/s; {step.n} iterations, R2 {step.r2:.3f}")
    for memory, blocks in (("ample", ample), ("tight", ample // 4)):
        sets = {str(load): loads(given, capacity, load) for load in given.load or LOADS}
        part = report[memory] = {"blocks": blocks, "simulated": expected(sets, step.steptime, given.slots, blocks)}
        given.out.write_text(json.dumps(report, indent=2) + "\n")  # the simulator's word comes first
        part["measured"] = {load: runs(machine, blocks, repetitions, given.seed) for load, repetitions in sets.items()}
        given.out.write_text(json.dumps(report, indent=2) + "\n")
        show(memory, part)


def replace_requests(given: argparse.Namespace, requests: int) -> argparse.Namespace:
    """The same wishes with one repetition of so many requests."""
    return argparse.Namespace(**{**vars(given), "requests": requests, "repetitions": 1})


def runs(machine: Machine, blocks: int, repetitions: list[Load], seed: int) -> dict[str, Any]:
    """Every policy on every repetition, in an order drawn anew for each."""
    found: dict[str, Any] = {name: {"mean": [], "p99": [], "max": [], "preemptions": []} for name in ARMS}
    chance = np.random.default_rng(seed)
    for load in repetitions:
        for name in chance.permutation(list(ARMS)):
            policy, truth = ARMS[name]
            machine.use(policy, blocks)
            gc.collect()
            seconds, preempted = machine.serve(load, truth=truth)
            for key, value in (
                ("mean", seconds.mean()),
                ("p99", np.quantile(seconds, 0.99)),
                ("max", seconds.max()),
                ("preemptions", preempted),
            ):
                found[name][key].append(float(value))
    means = {name: columns["mean"] for name, columns in found.items()}
    for name, columns in found.items():
        gain = paired_gain(columns["mean"], means["fcfs"])
        columns["gain_percent"], columns["gain_half_width"] = gain.mean, gain.half_width
        columns["share_of_oracle"] = share(means, name)
    return found


def show(memory: str, part: dict[str, Any]) -> None:
    """A table a load."""
    for load, arms in part["measured"].items():
        print(f"\n{memory} memory ({part['blocks']} blocks), load {load}")
        print(f"{'policy':26} {'mean s':>8} {'p99 s':>8} {'max s':>8} {'gain':>16} {'of oracle':>10} {'simulated':>10}")
        for name, row in arms.items():
            half = row["gain_half_width"]
            gain = f"{row['gain_percent']:6.1f} %" + ("" if half is None else f" +- {half:.1f}")
            told = part["simulated"][load]["share_of_oracle"][name]
            print(
                f"{name:26} {np.mean(row['mean']):8.3f} {np.mean(row['p99']):8.3f} {np.mean(row['max']):8.3f}"
                f" {gain:>16} {row['share_of_oracle']:10.2f} {told:10.2f}"
            )


if __name__ == "__main__":
    main()

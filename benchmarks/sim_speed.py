"""How fast the simulator is: requests a second on one core, on a real trace repeated to 10^5 and 10^6 requests.

    python benchmarks/sim_speed.py --trace azure_conv_2023.csv.gz --out benchmarks/results/sim_speed.json

vLLM's rules (256 slots, 2,048-token budget, 16-token blocks), h100-8b step times. (a) slots bind: memory has no limit.
(b) memory binds: 12,000 blocks. The arrival rate is chosen so that about `waiting` requests wait at the end of the
arrivals. Each row runs in a process of its own; compilation is timed apart; times are medians of the repetitions.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import Entry, Policy, Rank, Rules
from soonest.data import read_trace, repeat
from soonest.report import write_json
from soonest.sim import PRESETS, Options, Workload, beliefs, saturation, simulate

if TYPE_CHECKING:
    from soonest.sim.simulate import Backend

BLOCKS = 12_000
SIZES = ((10**5, 10**4), (10**6, 10**5))
GROWTH_REPETITIONS = 9
STATIC, LEARNING, RATIO = ("fcfs", "shortest"), ("a_max", "a_min"), "response_ratio(shortest)"
CASES: list[tuple[str, str, bool, int, int, str, int | None]] = [
    # policy, forecast, memory binds, requests, waiting, backend, at least (requests/s)
    *[(p, "oracle", binds, n, w, "kernel", 300_000) for p in STATIC for binds in (False, True) for n, w in SIZES],
    *[(p, "oracle", False, 10**6, 10**4, "kernel", 300_000) for p in STATIC],
    *[(p, "around(0.5)", binds, n, w, "kernel", 30_000) for p in LEARNING for binds in (False, True) for n, w in SIZES],
    (RATIO, "oracle", False, 10**5, 10**4, "kernel", 30_000),
    (RATIO, "oracle", True, 10**5, 10**4, "kernel", 30_000),
    (RATIO, "noise(0.5)", False, 10**5, 10**4, "kernel", 30_000),
    (RATIO, "oracle", False, 10**6, 10**5, "kernel", None),
    ("fcfs", "oracle", False, 10**5, 10**4, "python", 10_000),
    ("code", "oracle", False, 10**5, 10**4, "python", 10_000),
    ("code", "oracle", True, 10**5, 10**4, "python", 10_000),
]


class Code(Policy):
    """Shortest first as a policy that is Python code, not numbers."""

    name = "code"

    def rank(self, entry: Entry) -> Rank:
        """Expected tokens."""
        return Rank(entry.expected)


def prepare(trace_path: str, case: list[object]) -> tuple[Workload, Policy | str, Options, Backend, float]:
    """A case's workload at its rate, its policy, conditions and backend, and the seconds of the first call."""
    name, forecast, binds, n, waiting, backend, _ = case
    trace = repeat(read_trace(trace_path), int(str(n)))
    workload = Workload.of(trace)
    workload = workload.believing(beliefs(str(forecast), workload.output_tokens, seed=1))
    options = Options(Rules.vllm(256, 2048, BLOCKS if binds else None, 16), PRESETS["h100-8b"])
    policy = Code() if name == "code" else str(name)
    where: Backend = "kernel" if backend == "kernel" else "python"
    started = time.perf_counter()
    simulate(Workload.of(trace.head(20)), policy, options, backend=where)
    first = time.perf_counter() - started
    load = 1 / (1 - int(str(waiting)) / len(workload))
    at = workload.at(workload.arrival * (workload.rate / (load * saturation(Workload.of(trace.head(20_000)), options))))
    return at, policy, options, where, first


def growth(trace_path: str, policy: str, repetitions: int) -> float:
    """Time for 10x the requests with 10x as many waiting, slots binding: the median of ratios, taken in turn."""
    sizes = [prepare(trace_path, [policy, "oracle", False, n, waiting, "kernel", None]) for n, waiting in SIZES]
    ratios = []
    for _ in range(repetitions):
        seconds = []
        for workload, name, options, backend, _ in sizes:
            started = time.perf_counter()
            simulate(workload, name, options, backend=backend)
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[1] / seconds[0])
    return round(statistics.median(ratios), 2)


def measure(trace_path: str, case: list[object], repetitions: int) -> dict[str, object]:
    """One row, in this process."""
    name, forecast, binds, _, _, _, least = case
    workload, policy, options, backend, compiled = prepare(trace_path, case)
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        result = simulate(workload, policy, options, backend=backend)
        times.append(time.perf_counter() - started)
    seconds = statistics.median(times)
    return {
        "policy": name,
        "forecast": forecast,
        "memory_binds": binds,
        "requests": len(workload),
        "backend": backend,
        "requests_per_second": round(len(workload) / seconds),
        "to_reach": least,
        "seconds": [round(t, 3) for t in times],
        "first_call_seconds": round(compiled, 2),
        "events_per_request": round(result.events / len(workload), 3),
        "iterations_per_request": round(result.iterations / len(workload), 3),
        "most_waiting": result.most_waiting,
        "preempted_percent": round(100 * float(np.mean(result.evictions > 0)), 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Run every row in a child process and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", required=True, help="azure_conv_2023.csv(.gz)")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure(given.trace, json.loads(given.case), given.repetitions)))
        return
    rows = []
    for case in CASES:
        command = [sys.executable, __file__, "--trace", given.trace, "--repetitions", str(given.repetitions)]
        child = subprocess.run([*command, "--case", json.dumps(case)], check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
        rows.append(json.loads(child.stdout))
        print(" ".join(f"{key}={value}" for key, value in rows[-1].items() if key != "seconds"), flush=True)
    grown = {policy: growth(given.trace, policy, GROWTH_REPETITIONS) for policy in STATIC}
    print(f"time for 10x the requests, slots bind: {grown} (to reach: at most 12)")
    if given.out:
        import numba  # noqa: PLC0415 - only for its version

        versions = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
        shown = "python benchmarks/sim_speed.py --trace azure_conv_2023.csv.gz --out benchmarks/results/sim_speed.json"
        write_json(
            given.out,
            {"command": shown, "seed": 1, "versions": versions, "cores_used": 1, "growth": grown, "rows": rows},
        )


if __name__ == "__main__":
    main()

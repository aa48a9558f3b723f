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

import numpy as np

from soonest.core import Entry, Policy, Rank, Rules
from soonest.data import read_trace, repeat
from soonest.report import write_json
from soonest.sim import PRESETS, Options, Workload, beliefs, saturation, simulate

BLOCKS = 12_000
SIZES = ((10**5, 10**4), (10**6, 10**5))
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


def measure(trace_path: str, case: list[object], repetitions: int) -> dict[str, object]:
    """One row, in this process."""
    name, forecast, binds, n, waiting, backend, least = case
    trace = repeat(read_trace(trace_path), int(str(n)))
    workload = Workload.of(trace)
    workload = workload.believing(beliefs(str(forecast), workload.output_tokens, seed=1))
    options = Options(Rules.vllm(256, 2048, BLOCKS if binds else None, 16), PRESETS["h100-8b"])
    policy = Code() if name == "code" else str(name)
    small = workload.__class__.of(trace.head(20))
    started = time.perf_counter()
    if backend == "kernel":
        simulate(small, policy, options, backend="kernel")
    compiled = time.perf_counter() - started
    load = 1 / (1 - int(str(waiting)) / len(workload))
    at = workload.at(workload.arrival * (workload.rate / (load * saturation(Workload.of(trace.head(20_000)), options))))
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        result = simulate(at, policy, options, backend="kernel" if backend == "kernel" else "python")
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
    seconds = {
        (r["policy"], r["requests"], r["most_waiting"] > 0.05 * r["requests"]): statistics.median(r["seconds"])
        for r in rows
        if not r["memory_binds"] and r["backend"] == "kernel" and r["policy"] in {"fcfs", "shortest"}
    }
    growth = {p: round(seconds[p, 10**6, True] / seconds[p, 10**5, True], 2) for p in ("fcfs", "shortest")}
    print(f"time for 10x the requests, slots bind: {growth} (to reach: at most 12)")
    if given.out:
        import numba  # noqa: PLC0415 - only for its version

        versions = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
        shown = "python benchmarks/sim_speed.py --trace azure_conv_2023.csv.gz --out benchmarks/results/sim_speed.json"
        write_json(
            given.out,
            {"command": shown, "seed": 1, "versions": versions, "cores_used": 1, "growth": growth, "rows": rows},
        )


if __name__ == "__main__":
    main()

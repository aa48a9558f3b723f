"""Which eviction order `a_min` should have by default: four variants and `a_max`, as ratios to hindsight.

    python benchmarks/a_min.py --trace azure_conv_2023.csv.gz --out benchmarks/results/a_min.json

First the theory papers' rounds: 2,000 requests at once, M = 16,492 tokens, log-normal lengths (mean 85.3, median 45,
clipped to 1,000; prompts mean 40.6, median 11), total latency as a ratio to H-SF; and two-point lengths at their
worst mixture. Then an engine: the trace at load 1.2, vLLM's rules, 100,000 tokens of KV cache, h100-8b step times,
mean JCT as a ratio to `fcfs`. Means of the seeds with 95 % confidence intervals.
"""

from __future__ import annotations

import argparse
import platform
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import Rules
from soonest.data import read_trace
from soonest.report import interval as interval_of
from soonest.report import write_json
from soonest.sim import PRESETS, Options, Workload, beliefs, simulate
from soonest.studies import Scenario
from soonest.studies.robust.lengths import two_point
from soonest.studies.robust.theory.convergence import Case

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

VARIANTS = [f"a_min({key}, {order})" for key in ("stored", "live") for order in ("smallest", "largest")]
POLICIES = [*VARIANTS, "a_max"]
SOURCES = ["interval(1,1000)", "bins(10,1000)", "around(0.1)", "around(0.5)", "around(0.9)"]
MEMORY, REQUESTS = 16_492, 2_000


def log_normal(generator: np.random.Generator, mean: float, median: float, most: int) -> NDArray[np.int64]:
    """Lengths of at least 1 and at most `most` tokens."""
    sigma = np.sqrt(2 * np.log(mean / median))
    drawn = median * np.exp(sigma * generator.standard_normal(REQUESTS))
    lengths: NDArray[np.int64] = np.clip(np.rint(drawn), 1, most).astype(np.int64)
    return lengths


def in_rounds(source: str, seed: int) -> dict[str, float]:
    """Total latency over H-SF's, in the theory papers' rounds."""
    generator = np.random.default_rng(seed)
    outputs, prompts = log_normal(generator, 85.3, 45, 1000), log_normal(generator, 40.6, 11, 1000)
    work = Workload(np.zeros(REQUESTS), prompts, outputs, beliefs("oracle", outputs))
    options = Options(Rules.paper(MEMORY), seed=seed)
    hindsight = simulate(work, "a_min", options, backend="kernel").total_latency
    told = work.believing(beliefs(source, outputs))
    return {p: simulate(told, p, options, backend="kernel").total_latency / hindsight for p in POLICIES}


def two_points(alpha: float, seed: int) -> dict[str, float]:
    """The same for lengths l = 2 and u = l/alpha, at the mixture that is worst for each policy."""
    high = round(2 / alpha)
    worst = dict.fromkeys(POLICIES, 0.0)
    for share in np.linspace(0.5, 0.95, 7):
        for p in POLICIES:
            case = Case("", p, 2, tuple(two_point(2, high, float(share)).tolist()), 0.0)
            worst[p] = max(worst[p], case.ratio(10 * high**2, 10_000, seed))
    return worst


def on_an_engine(scenario: Scenario, source: str, repetition: int) -> dict[str, float]:
    """Mean JCT over that of `fcfs`, and the share of requests preempted, on a trace at load 1.2."""
    work = scenario.workload(repetition, 1.2 * scenario.saturation)
    told = work.believing(scenario.beliefs(source, work, repetition))
    base = simulate(work, "fcfs", scenario.options, backend="kernel").total_latency
    found = {}
    for p in [*POLICIES, "shortest"]:
        result = simulate(told, p, scenario.options, backend="kernel")
        found[p] = result.total_latency / base
        found[f"{p}: preempted %"] = 100 * float(np.mean(result.evictions > 0))
    return found


def table(name: str, measure: Callable[[int], dict[str, float]], seeds: int) -> dict[str, object]:
    """Measure each seed, print and return mean and half-width by policy."""
    found = [measure(seed) for seed in range(seeds)]
    rows = {key: interval_of([f[key] for f in found]) for key in found[0]}
    print(name, {key: f"{i.mean:.3f} +-{i.half_width or 0:.3f}" for key, i in rows.items()}, flush=True)
    return {"condition": name, "rows": {key: {"mean": i.mean, "half_width": i.half_width} for key, i in rows.items()}}


def main() -> None:
    """Measure every condition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", required=True, help="azure_conv_2023.csv(.gz)")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    tables = [table(f"rounds, {s}", partial(in_rounds, s), given.seeds) for s in SOURCES]
    tables += [table(f"two-point, alpha {a}", partial(two_points, a), 3) for a in (0.2, 0.1, 0.05)]
    options = Options(Rules.vllm(256, 2048, 100_000 // 16, 16), PRESETS["h100-8b"])
    scenario = Scenario(read_trace(given.trace), options, repetitions=given.seeds, backend="kernel")
    tables += [
        table(f"engine, {s}", partial(on_an_engine, scenario, s), given.seeds)
        for s in ("classes(0.6)", "around(0.5)", "interval(1,1000)")
    ]
    if given.out:
        import numba  # noqa: PLC0415 - only for its version

        versions = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
        shown = "python benchmarks/a_min.py --trace azure_conv_2023.csv.gz --out benchmarks/results/a_min.json"
        write_json(given.out, {"command": shown, "seeds": given.seeds, "versions": versions, "tables": tables})


if __name__ == "__main__":
    main()

"""The worst instances that a search finds for `least_area` and the orders of A_min, as ratios to hindsight.

    python benchmarks/adversary.py --out benchmarks/results/adversary.json

Hill climbing from random instances of 2 to 12 requests that all arrive at 0: a step changes, copies or replaces some
requests and stays if the ratio to H-SF did not fall. The worst is also set beside the optimum, by integer program, of
those that it can solve.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soonest.core import Forecast, Policy, Rules, SoonestError
from soonest.policies import policy as named
from soonest.report import write_json
from soonest.sim import Beliefs, Options, Workload, simulate
from soonest.sim.forecasts import oracle
from soonest.sim.theory import optimum

POLICIES = ("least_area", "a_min(stored, smallest)", "a_min(stored, largest)", "a_min(live, smallest)")
HINDSIGHT = named("a_min")
MOST, LARGEST, STEPS = 12, 120, 150
Request = tuple[int, int, int, int]
"""Prompt, output, low, high."""


@dataclass(frozen=True)
class Instance:
    """Requests that all arrive at 0, and the memory that each of them fits."""

    memory: int
    requests: tuple[Request, ...]

    def ratio(self, policy: Policy) -> float:
        """Total latency over hindsight's."""
        prompt, output, low, high = (np.array(column, dtype=np.int64) for column in zip(*self.requests, strict=True))
        work = Workload(np.zeros(len(output)), prompt, output, oracle(output))
        table = tuple(Forecast.interval(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
        told = work.believing(Beliefs(table, np.arange(len(output), dtype=np.int32)))
        options = Options(Rules.paper(self.memory))
        hindsight = simulate(work, HINDSIGHT, options, backend="kernel").total_latency
        return float(simulate(told, policy, options, backend="kernel").total_latency / hindsight)

    def over_optimum(self, ratio: float) -> float | None:
        """The same over the optimum, where the integer program is small enough."""
        prompt, output, _, _ = zip(*self.requests, strict=True)
        zero = [0] * len(output)
        work = Workload(np.zeros(len(output)), np.array(prompt), np.array(output), oracle(np.array(output)))
        hindsight = simulate(work, HINDSIGHT, Options(Rules.paper(self.memory))).total_latency
        try:
            return ratio * hindsight / optimum(prompt, output, zero, self.memory)
        except SoonestError:
            return None


def drawn(generator: np.random.Generator, memory: int) -> Request:
    """A request that fits: ends of its interval log-uniform, its length at an end four times in five."""
    prompt = int(generator.integers(0, 6)) if generator.random() < 0.5 else 0
    low, high = np.sort(np.exp(generator.random(2) * np.log(memory - prompt))).astype(int).tolist()
    output = (low, low, high, high, int(generator.integers(low, high + 1)))[int(generator.integers(5))]
    return prompt, output, low, high


def neighbour(generator: np.random.Generator, instance: Instance) -> Instance:
    """One to three requests drawn anew, copied from another, added or left out."""
    requests = list(instance.requests)
    for _ in range(int(generator.integers(1, 4))):
        i, move = int(generator.integers(len(requests))), generator.random()
        if move < 0.45:
            requests[i] = drawn(generator, instance.memory)
        elif move < 0.75:
            requests[i] = requests[int(generator.integers(len(requests)))]
        elif move < 0.9 and len(requests) < MOST:
            requests.insert(i, requests[int(generator.integers(len(requests)))])
        elif len(requests) > 2:
            del requests[i]
    return Instance(instance.memory, tuple(requests))


def climb(policy: Policy, generator: np.random.Generator) -> tuple[float, Instance]:
    """The worst instance on one way up."""
    memory = int(generator.integers(8, LARGEST))
    jobs = int(generator.integers(2, MOST + 1))
    worst = Instance(memory, tuple(drawn(generator, memory) for _ in range(jobs)))
    ratio = worst.ratio(policy)
    for _ in range(STEPS - 1):
        other = neighbour(generator, worst)
        found = other.ratio(policy)
        if found >= ratio:
            worst, ratio = other, found
    return ratio, worst


def main() -> None:
    """Search for each policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--climbs", type=int, default=670, help=f"ways up for least_area, {STEPS} instances each")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = []
    for policy in POLICIES:
        climbs = given.climbs if policy == "least_area" else max(1, given.climbs // 20)
        found = [climb(named(policy), np.random.default_rng([given.seed, k])) for k in range(climbs)]
        ratio, worst = max(found, key=lambda pair: pair[0])
        row = {
            "policy": policy,
            "instances": climbs * STEPS,
            "ratio_to_hindsight": ratio,
            "ratio_to_optimum": worst.over_optimum(ratio),
            "memory": worst.memory,
            "requests": [dict(zip(("prompt", "output", "low", "high"), r, strict=True)) for r in worst.requests],
        }
        print(policy, row["instances"], f"{ratio:.3f}", row["ratio_to_optimum"], flush=True)
        rows.append(row)
    if given.out:
        command = "python benchmarks/adversary.py --out benchmarks/results/adversary.json"
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        write_json(given.out, {"command": command, "seed": given.seed, "versions": versions, "rows": rows})


if __name__ == "__main__":
    main()

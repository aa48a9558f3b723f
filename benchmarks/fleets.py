"""Fleets in the simulator: what the choice of replica is worth, and what the order within it.

    python -m benchmarks.fleets --out benchmarks/results/fleets.json

The shipped sample's lengths with Poisson arrivals, 250 requests a replica, on replicas of vLLM's rules with 8 slots
and h100-8b steps; memory has no limit, so slots alone are scarce. Forecasts are those of a five-class classifier that
is right in 60 %. A load of 1 is what the whole fleet sustains. What differs is compared on the same requests at the
same times, in 4 to 12 repetitions, the smaller the fleet the more. A row of `rows` with R replicas is what

    soonest sim --slots 8 --arrivals poisson -n 250*R --replicas R --router NAME -l LOAD -r REPETITIONS -p ...

says.

- `rows`: routers, and one queue for all, by fleet size, load and order. In an uneven fleet the first of every four
  replicas (of two, one) runs at half speed. Of the largest fleet only what the page's headline needs.
- `scarce`: what to count at each of four replicas that have 1, 4 or 8 slots, or 64 and 12,000 tokens of KV cache.
- `gateways`: eight replicas behind one queue, or behind 2, 4 and 8 gateways with a queue each.
- `prefixes`: prompts that begin with one of 64 system prompts of 1,536 tokens, the k-th of them used in proportion to
  1/k; each replica keeps 96 blocks of 256 tokens, which is 16 of them.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import Rules
from soonest.data import sample
from soonest.report import interval, paired_gain, write_json
from soonest.report.measures import jct, ttft
from soonest.report.study import origin
from soonest.sim import PRESETS, Options, simulate
from soonest.studies import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soonest.sim import Workload

SIZES: Final = (1, 2, 4, 8, 16)
UNEVEN, WHOLE = (2, 4), 8
LOADS: Final = (0.7, 0.9, 1.2)
ORDERS: Final = ("fcfs", "shortest", "response_ratio(shortest)")
LEAST: Final = ("least_requests", "least_expected_tokens", "least_requests_then_tokens")
ROUTERS: Final = ("round_robin", "random", "power_of_two", *LEAST)
ONE_QUEUE: Final = "one queue"
GATEWAYS, GATEWAYS_BEFORE = (2, 4, 8), 8
REQUESTS, SEED, SLOTS = 250, 0, 8
FEWEST, MOST, ENOUGH = 4, 12, 32
"""Repetitions at least and at most, and repetitions times replicas in between."""
SLOW: Final = 0.5
SCARCE: Final = ((1, None), (4, None), (8, None), (64, 12_000))
"""Slots of a replica and tokens of its KV cache, which has no limit where there is none."""
SCARCE_BEFORE: Final = 4
FAMILIES, SHARED, BLOCK, KEPT = 64, 6, 256, 96
"""System prompts, blocks of each, tokens a block, and blocks that a replica keeps."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of one way to serve, by repetition, in seconds."""

    mean: list[float]
    p99: list[float]
    longest: list[float]
    first_token: list[float]

    def row(self, base: Times) -> dict[str, object]:
        """With confidence intervals, and the gain against another way, repetition by repetition."""
        gain, mean, p99 = paired_gain(self.mean, base.mean), interval(self.mean), interval(self.p99)
        return {
            "mean_jct": _short(mean.mean),
            "mean_jct_ci": _short(mean.half_width),
            "p99_jct": _short(p99.mean),
            "p99_jct_ci": _short(p99.half_width),
            "max_jct": _short(max(self.longest)),
            "p99_ttft": _short(interval(self.first_token).mean),
            "gain": _short(gain.mean),
            "gain_ci": _short(gain.half_width),
        }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def speeds(replicas: int, *, uneven: bool) -> tuple[float, ...]:
    """The first of every four replicas is slow, if any is."""
    return tuple(SLOW if i % 4 == 0 else 1.0 for i in range(replicas)) if uneven else ()


def scenario(replicas: int, each: tuple[float, ...] = (), slots: int = SLOTS, memory: int | None = None) -> Scenario:
    """The requests, and the fleet with one queue for all."""
    repetitions = min(MOST, max(FEWEST, ENOUGH // replicas))
    rules = Rules.vllm(slots, blocks=None if memory is None else memory // 16)
    options = Options(rules, PRESETS["h100-8b"], engines=replicas, speeds=each, seed=SEED)
    return Scenario(sample(), options, "poisson", REQUESTS * replicas, repetitions=repetitions, seed=SEED)


def served(work: list[Workload], options: Options, order: str) -> Times:
    """The same requests at the same times as every other way has them."""
    found = Times([], [], [], [])
    for one in work:
        records = simulate(one, order, options).records
        times = jct(records)
        found.mean.append(float(times.mean()))
        found.p99.append(float(np.percentile(times, 99)))
        found.longest.append(float(times.max()))
        found.first_token.append(float(np.percentile(ttft(records), 99)))
    return found


def told(scene: Scenario, rate: float) -> list[Workload]:
    """Each repetition's requests with the classifier's forecasts."""
    work = [scene.workload(number, rate) for number in range(scene.repetitions)]
    return [one.believing(scene.beliefs("classes", one, number)) for number, one in enumerate(work)]


def compared(
    scene: Scenario, ways: dict[str, Options], load: float, orders: tuple[str, ...] = ORDERS
) -> Iterator[dict[str, object]]:
    """Every way to queue with every order, beside the first way with the first order."""
    first = next(iter(ways))
    work = told(scene, load * scene.saturation)
    base = served(work, ways[first], orders[0])
    for (queueing, options), order in product(ways.items(), orders):
        found = base if (queueing, order) == (first, orders[0]) else served(work, options, order)
        yield {"load": load, "queueing": queueing, "order": order, **found.row(base)}


def rows(sizes: list[int]) -> Iterator[dict[str, object]]:
    """Routers, and one queue for all; of fleets above `WHOLE` fewer routers and orders."""
    for replicas, uneven in product(sizes, (False, True)):
        if uneven and replicas not in UNEVEN:
            continue
        scene = scenario(replicas, speeds(replicas, uneven=uneven))
        ways = {} if replicas == 1 else {name: replace(scene.options, router=name) for name in ROUTERS}
        if replicas > WHOLE:
            del ways["random"]
        else:
            ways[ONE_QUEUE] = scene.options
        for load in LOADS:
            for row in compared(scene, ways, load, ORDERS if replicas <= WHOLE else ORDERS[:2]):
                yield {"replicas": replicas, "speeds": "uneven" if uneven else "equal", **row}


def scarce() -> Iterator[dict[str, object]]:
    """What to count at a replica, by what it has little of; beside Ray's default with the same order."""
    for (slots, memory), uneven in product(SCARCE, (False, True)):
        scene = scenario(SCARCE_BEFORE, speeds(SCARCE_BEFORE, uneven=uneven), slots, memory)
        ways = {name: replace(scene.options, router=name) for name in ("power_of_two", *LEAST)}
        for load, order in product(LOADS, ORDERS[:2]):
            for row in compared(scene, ways, load, (order,)):
                yield {"slots": slots, "memory": memory, "speeds": "uneven" if uneven else "equal", **row}


def gateways() -> Iterator[dict[str, object]]:
    """One queue, and several."""
    scene = scenario(GATEWAYS_BEFORE)
    ways = {f"{count} gateways": replace(scene.options, gateways=count) for count in GATEWAYS}
    for load in LOADS:
        for row in compared(scene, {ONE_QUEUE: scene.options} | ways, load):
            yield {"replicas": GATEWAYS_BEFORE, **row}


def beginning(work: Workload, seed: int) -> Workload:
    """The same requests, each behind a system prompt."""
    popular = 1 / np.arange(1, FAMILIES + 1)
    family = np.random.default_rng(seed).choice(FAMILIES, len(work), p=popular / popular.sum())
    blocks = tuple(tuple(range(SHARED * f, SHARED * (f + 1))) for f in family.tolist())
    return replace(work, prompt_tokens=work.prompt_tokens + SHARED * BLOCK, blocks=blocks, block_tokens=BLOCK)


def prefixes(sizes: list[int]) -> Iterator[dict[str, object]]:
    """Where a prefix may be kept; the load is a share of what the fleet sustains without these prefixes."""
    for replicas in sizes:
        scene = scenario(replicas)
        for load in LOADS[:2]:
            work = [beginning(one, SEED + number) for number, one in enumerate(told(scene, load * scene.saturation))]
            options = replace(scene.options, prefix_blocks=KEPT)
            base = None
            for name, order in product((*ROUTERS, "prefix_affinity"), ORDERS[:2]):
                found = served(work, replace(options, router=name), order)
                base = base or found
                yield {"replicas": replicas, "load": load, "queueing": name, "order": order, **found.row(base)}


def main() -> None:
    """Simulate all, print a line for each row, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    given = parser.parse_args()
    several = [size for size in given.sizes if size in {4, 8}]
    parts = {
        "scarce": scarce(),
        "gateways": gateways(),
        "prefixes": prefixes(several),
        "rows": rows(given.sizes),
    }
    made = {
        "command": shlex.join(["python", "-m", "benchmarks.fleets", *sys.argv[1:]]),
        "seed": SEED,
        "requests_a_replica": REQUESTS,
        "slots": SLOTS,
        "versions": origin.versions(("soonest", "numpy", "numba")),
    }
    found: dict[str, list[dict[str, object]]] = {}
    for part, each in parts.items():
        found[part] = []
        for row in each:
            print(part, row, flush=True)
            found[part].append(row)
        if given.out:
            write_json(given.out, {**made, **found})


if __name__ == "__main__":
    main()

"""The worst instances that a search finds for `least_area` and the orders of A_min, as ratios to hindsight.

    python benchmarks/adversary.py --out benchmarks/results/adversary.json

Hill climbing from random instances of 2 to 12 requests that all arrive at 0: a step changes, copies or replaces some
requests and stays if the ratio to H-SF did not fall. Rounds are counted by a few lines of their own, for speed;
`soonest.sim` must agree on what is reported, and on the first instance of each way up. The worst is also set beside the
optimum, by integer program, where that can be solved.
"""

# ruff: noqa: NPY002 - compiled code draws from Numba's own generator, which `np.random` names
from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from soonest.core import Forecast, Rules, SoonestError
from soonest.core.policy import area_left as plain_area_left
from soonest.report import write_json
from soonest.sim import Beliefs, Options, Workload, simulate
from soonest.sim.forecasts import oracle
from soonest.sim.theory import optimum

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")
POLICIES = ("least_area", "a_min(stored, smallest)", "a_min(stored, largest)", "a_min(live, smallest)")
LEAST_AREA, STORED_SMALLEST, STORED_LARGEST, LIVE_SMALLEST = range(4)
MOST, LARGEST, STEPS = 12, 120, 500
PROMPT, OUTPUT, LOW, HIGH = range(4)
Requests = NDArray[np.int64]
"""Prompt, output, low and high of each: shape (n, 4)."""


def compiled(function: F) -> F:
    """As Numba compiles it."""
    made: F = numba.njit(function)
    return made


area_left = compiled(plain_area_left)


@compiled
def keep(policy: int, e: int, g: int, request: Requests) -> float:
    """Whom an overflow takes: the smallest."""
    if policy == LEAST_AREA:
        return -area_left(float(e), float(g), float(request[HIGH]), float(request[PROMPT]))
    if policy == STORED_SMALLEST:
        return float(e)
    return -float(e) if policy == STORED_LARGEST else float(max(e, g))


@compiled
def fits(requests: Requests, memory: int, e: Requests, g: Requests, running: Requests, i: int) -> bool:
    """Whether the peak stays within memory if request i starts now and everyone ends where it is predicted to."""
    n = len(requests)
    left = np.maximum(e - g, 1)
    for ahead in range(1, max(left[i], 1) + 1) if running.any() else range(0):
        held = requests[i, PROMPT] + ahead
        for k in range(n):
            if running[k] and left[k] >= ahead:
                held += requests[k, PROMPT] + g[k] + ahead
        if held > memory:
            return False
    return True


@compiled
def to_evict(policy: int, requests: Requests, e: Requests, g: Requests, running: Requests) -> int:
    """The running request with the smallest `keep`, of equals the last."""
    out, worst = -1, 0.0
    for k in np.flatnonzero(running):
        value = keep(policy, e[k], g[k], requests[k])
        if out < 0 or value <= worst:
            out, worst = int(k), value
    return out


@compiled
def next_head(policy: int, requests: Requests, e: Requests, waiting: Requests) -> int:
    """The waiting request with the smallest rank, of equals the first."""
    head, first = -1, 0.0
    for k in np.flatnonzero(waiting):
        value = float(e[k])
        if policy == LEAST_AREA:
            value = area_left(value, 0.0, float(requests[k, HIGH]), float(requests[k, PROMPT]))
        if head < 0 or value < first:
            head, first = int(k), value
    return head


@compiled
def total(requests: Requests, memory: int, policy: int) -> int:
    """Total latency in rounds; all arrive at 0."""
    n = len(requests)
    e, g, running = requests[:, LOW].copy(), np.zeros(n, np.int64), np.zeros(n, np.int64)
    waiting, ended, time, latency = np.ones(n, np.int64), 0, 0, 0
    while ended < n:
        while (running * (requests[:, PROMPT] + g + 1)).sum() > memory:
            out = to_evict(policy, requests, e, g, running)
            e[out], g[out], running[out], waiting[out] = max(e[out], g[out]), 0, 0, 1
        while waiting.any():
            head = next_head(policy, requests, e, waiting)
            if not fits(requests, memory, e, g, running, head):
                break
            running[head], waiting[head] = 1, 0
        time += 1
        for k in np.flatnonzero(running):
            g[k] += 1
            if g[k] == requests[k, OUTPUT]:
                running[k], ended, latency = 0, ended + 1, latency + time
    return latency


@compiled
def ratio(requests: Requests, memory: int, policy: int) -> float:
    """Total latency over hindsight's."""
    known = requests.copy()
    known[:, LOW] = known[:, HIGH] = requests[:, OUTPUT]
    return float(total(requests, memory, policy) / total(known, memory, STORED_LARGEST))


@compiled
def draw(requests: Requests, i: int, memory: int) -> None:
    """A request that fits: ends of its interval log-uniform, its length at an end four times in five."""
    prompt = np.random.randint(0, 6) if np.random.random() < 0.5 else 0
    a, b = np.exp(np.random.random() * np.log(memory - prompt)), np.exp(np.random.random() * np.log(memory - prompt))
    low, high, kind = int(min(a, b)), int(max(a, b)), np.random.random()
    output = low if kind < 0.4 else high if kind < 0.8 else np.random.randint(low, high + 1)
    requests[i, PROMPT], requests[i, OUTPUT], requests[i, LOW], requests[i, HIGH] = prompt, output, low, high


@compiled
def climb(policy: int, seed: int) -> tuple[float, int, Requests, Requests]:
    """The worst instance on one way up: its ratio, memory and requests; then the first."""
    np.random.seed(seed)
    memory, n = np.random.randint(8, LARGEST), np.random.randint(2, MOST + 1)
    worst = np.zeros((n, 4), np.int64)
    for i in range(n):
        draw(worst, i, memory)
    first, most = worst.copy(), ratio(worst, memory, policy)
    for _ in range(STEPS - 1):
        other = worst.copy()
        for _ in range(np.random.randint(1, 4)):
            i, move = np.random.randint(len(other)), np.random.random()
            if move < 0.45:
                draw(other, i, memory)
            elif move < 0.75:
                other[i] = other[np.random.randint(len(other))]
            elif move < 0.9 and len(other) < MOST:
                other = np.concatenate((other, other[i : i + 1]))
            elif len(other) > 2:
                other = np.concatenate((other[:i], other[i + 1 :]))
        found = ratio(other, memory, policy)
        if found >= most:
            worst, most = other, found
    return most, memory, worst, first


def simulated(requests: Requests, memory: int, policy: str) -> tuple[float, float]:
    """The same ratio by `soonest.sim`, and hindsight's total latency."""
    prompt, output, low, high = requests.T
    work = Workload(np.zeros(len(output)), prompt, output, oracle(output))
    table = tuple(Forecast.interval(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    told = work.believing(Beliefs(table, np.arange(len(output), dtype=np.int32)))
    options = Options(Rules.paper(memory))
    hindsight = simulate(work, "a_min", options, backend="python").total_latency
    return simulate(told, policy, options, backend="python").total_latency / hindsight, hindsight


def row(policy: str, climbs: int, seed: int) -> dict[str, object]:
    """What the search found for one policy."""
    found = [climb(POLICIES.index(policy), seed + k) for k in range(climbs)]
    for _, memory, _, first in found[:100]:
        if ratio(first, memory, POLICIES.index(policy)) != simulated(first, memory, policy)[0]:
            raise SoonestError(f"the search and the simulator differ on {first.tolist()}, memory {memory}")
    most, memory, worst, _ = max(found, key=lambda climbed: climbed[0])
    again, hindsight = simulated(worst, memory, policy)
    if again != most:
        raise SoonestError(f"the search and the simulator differ on {worst.tolist()}, memory {memory}")
    try:
        prompt, output = worst[:, PROMPT].tolist(), worst[:, OUTPUT].tolist()
        over = again * hindsight / optimum(prompt, output, [0] * len(worst), memory)
    except SoonestError:  # more rounds than the integer program takes
        over = None
    names = ("prompt", "output", "low", "high")
    requests = [dict(zip(names, r, strict=True)) for r in worst.tolist()]
    told = {"policy": policy, "instances": climbs * STEPS, "ratio_to_hindsight": again, "ratio_to_optimum": over}
    return {**told, "memory": memory, "requests": requests}


def main() -> None:
    """Search for each policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument(
        "--climbs", type=int, default=210, help=f"ways up for least_area, {STEPS} instances each; others: 1/5"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = []
    for policy in POLICIES:
        rows.append(row(policy, given.climbs if policy == "least_area" else given.climbs // 5, given.seed))
        print({k: v for k, v in rows[-1].items() if k != "requests"}, flush=True)
    if given.out:
        command = "python benchmarks/adversary.py --out benchmarks/results/adversary.json"
        versions = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
        write_json(given.out, {"command": command, "seed": given.seed, "versions": versions, "rows": rows})


if __name__ == "__main__":
    main()

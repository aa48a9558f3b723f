"""Two gateways before three engines: is an engine's limit shared, do tenants' shares hold, is anything lost?

One gateway, then two on the same load, and two while engines and gateways are killed at random and started again.
Engines are the tests' fake ones, processes that make a token a step and tell vLLM's metrics.

python -m benchmarks.two_gateways --out benchmarks/results/two_gateways.json
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from benchmarks.killing.clients import Crowd, Found, ended
from benchmarks.killing.stand import WEIGHTS, kill_at_random, standing, watch

from soonest.bench.printing import machine, versions
from soonest.report import write_json

if TYPE_CHECKING:
    from benchmarks.killing.stand import Stand

ENGINES, SLOTS, STEP_MS, CLIENTS = 3, 4, 50.0, 40
EVERY: Final = (1.5, 4.5)
"""Seconds between two kills."""
LOOK: Final = 0.1


async def measured(
    stand: Stand, gateways: int, requests: int, seed: int, *, kill: bool, clients: int = CLIENTS
) -> dict[str, object]:
    """One load through the first gateways, with or without kills, and what became of it."""
    seen: list[tuple[int, int]] = []
    killing = asyncio.create_task(kill_at_random(stand, random.Random(seed), EVERY)) if kill else None  # noqa: S311
    begin = time.monotonic()
    crowd = Crowd([one.url for one in stand.gateways[:gateways]], requests, clients, seed)
    watching = asyncio.create_task(watch(stand, LOOK, seen))
    found = await crowd.run()
    seconds = time.monotonic() - begin
    await ended(watching)
    killed = None if killing is None else await ended(killing)
    return {"gateways": gateways, "requests": requests, "killed": killed, **told(found, seen, seconds)}


def told(found: Found, seen: list[tuple[int, int]], seconds: float) -> dict[str, object]:
    """Counts, tenants' shares against their weights, and what waited and ran in an engine in the middle of the run."""
    middle = np.array(seen[len(seen) // 4 : -len(seen) // 8 or None])
    waiting, running = middle[:, 0], middle[:, 1]
    shares, weights = found.shares(), sum(WEIGHTS.values())
    return {
        "answered": found.answered,
        "told": found.told,
        "lost": found.lost,
        "begun_again": found.longer,
        "attempts": found.attempts,
        "why": dict(found.why.most_common()),
        "seconds": round(seconds, 1),
        "share_of_tokens": shares,
        "share_against_weight": {name: shares[name] * weights / WEIGHTS[name] for name in WEIGHTS},
        "waiting_in_an_engine": {
            "mean": float(waiting.mean()),
            "p99": float(np.percentile(waiting, 99)),
            "max": int(waiting.max()),
        },
        "running_in_an_engine": {"mean": float(running.mean()), "slots": SLOTS},
    }


def shown(row: dict[str, object]) -> str:
    """A row in a line."""
    names = ("gateways", "requests", "killed", "answered", "told", "lost", "begun_again", "seconds")
    rest = ("share_against_weight", "waiting_in_an_engine", "running_in_an_engine", "why")
    return "; ".join(f"{name} {row[name]}" for name in (*names, *rest))


def main() -> None:
    """Measure, print a line each, and write them down."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--out", type=Path)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--requests", type=int, default=5000)
    given = words.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, standing(Path(folder), ENGINES, 2, SLOTS, STEP_MS) as stand:
        for gateways, requests, kill in (
            (1, given.requests // 2, False),
            (2, given.requests // 2, False),
            (2, given.requests, True),
        ):
            rows.append(asyncio.run(measured(stand, gateways, requests, given.seed, kill=kill)))
            print(shown(rows[-1]), flush=True)
    if given.out:
        command = shlex.join(["python", "-m", "benchmarks.two_gateways", *sys.argv[1:]])
        setting = {
            "engines": ENGINES,
            "slots": SLOTS,
            "step_ms": STEP_MS,
            "clients_a_tenant": CLIENTS,
            "weights": WEIGHTS,
        }
        write_json(
            given.out,
            {
                "command": command,
                "seed": given.seed,
                "versions": versions(),
                "machine": machine(),
                "setting": setting | {"weights": WEIGHTS},
                "rows": rows,
            },
        )


if __name__ == "__main__":
    main()

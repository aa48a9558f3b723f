"""What the live page costs a gateway: off, on with nobody who looks, and with viewers, interleaved.

python -m benchmarks.ui_cost --out benchmarks/results/ui_cost.json     (in the repository's root; about six minutes)

About 100 requests a second for 32 tokens each, not streamed, 32 in flight and 60 that wait, each with a forecast of its
own. Streams would cost the gateway more, and the page no more: what is small is seen better beside little.
Counted is the processor time of the gateway's process, to the nanosecond. Each arm takes its turn in every repetition,
and differences are those within a repetition, from what the gateway without the page would take at the same rate: a
machine that does other work as well may give fewer than 100 answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import shlex
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from benchmarks.overhead import stand
from benchmarks.overhead.load import Target, closed, run

from soonest.bench.printing import machine, versions
from soonest.report import write_json
from soonest.report.compare import interval

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOTS: Final = 32
WAITING: Final = 60
STEP_MS: Final = 10.0
LENGTHS: Final = tuple(range(16, 49))
WARM: Final = 2.0
Seen = list[tuple[float, int]]
ARMS: Final = {"off": ("off", 0), "on, nobody looks": ("on", 0), "on, one viewer": ("on", 1)}
"""Which gateway, and how many look."""


def asked(url: str) -> list[Target]:
    """Prompts of different length, each with what its client expects."""
    found = []
    for tokens in LENGTHS:
        text = "why " * 128 + f"tokens={tokens}"
        hint = {"soonest_forecast": [tokens // 2, tokens, 2 * tokens]}
        body = {"model": "fake", "messages": [{"role": "user", "content": text}], "vllm_xargs": hint}
        found.append(Target.of(url, json.dumps(body).encode()))
    return found


def cpu(pid: int) -> float:
    """Seconds of processor time so far, of all threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text("utf-8").split()[0]) for task in tasks) / 1e9


async def look(url: str, seen: Seen) -> None:
    """Follow the page's events: milliseconds that each picture took before it, and its bytes."""
    async with aiohttp.ClientSession(read_bufsize=1 << 20) as session, session.get(f"{url}/ui/events") as answer:
        while line := await answer.content.readline():
            if line.startswith(b"data: "):
                seen.append((json.loads(line[6:])["cost_ms"], len(line)))


async def turn(process: stand.Process, viewers: int, seconds: float, seen: Seen) -> tuple[float, float]:
    """One arm's turn: the share of a core that the gateway takes, and answers a second."""
    loading = asyncio.create_task(closed(asked(process.url), SLOTS + WAITING, WARM, seconds))
    looking = [asyncio.create_task(look(process.url, seen if i == 0 else [])) for i in range(viewers)]
    await asyncio.sleep(WARM)
    began, loop = cpu(process.pid), asyncio.get_running_loop()
    since = loop.time()
    await asyncio.sleep(seconds - 0.5)
    share = (cpu(process.pid) - began) / (loop.time() - since)
    answers, _, took = await loading
    for one in looking:
        one.cancel()
    await asyncio.gather(*looking, return_exceptions=True)
    return share, answers / took


def difference(arm: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """Percent of a core more than `base`: mean of the pairs' differences, with a 95 % confidence interval."""
    found = interval([100 * (one - other) for one, other in zip(arm, base, strict=True)])
    half = found.half_width or math.nan
    return {"mean": round(found.mean, 3), "low": round(found.mean - half, 3), "high": round(found.mean + half, 3)}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Of several values: mean, median, p99 and maximum."""
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]
    parts = {"mean": statistics.mean(ordered), "median": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
    return {name: round(value, 3) for name, value in parts.items()}


def measure(repetitions: int, seconds: float) -> dict[str, Any]:
    """All arms in turn."""
    busy = os.getloadavg()[0]
    shares: dict[str, list[float]] = {name: [] for name in ARMS}
    rates: dict[str, list[float]] = {name: [] for name in ARMS}
    seen: Seen = []
    with ExitStack() as stack:
        engine = stack.enter_context(stand.running(stand.engine(slots=SLOTS, step_ms=STEP_MS), None))
        plain = stand.gateway(engine.url, "none", "--in-flight", str(SLOTS), "--predictor", "constant")
        started = {name: stand.running([*plain, *more], None) for name, more in (("off", ()), ("on", ("--ui",)))}
        gateways = {name: stack.enter_context(one) for name, one in started.items()}
        for repetition in range(repetitions):
            names = list(ARMS) if repetition % 2 == 0 else list(reversed(ARMS))
            for name in names:
                which, viewers = ARMS[name]
                share, rate = run(turn(gateways[which], viewers, seconds, seen if viewers == 1 else []))
                shares[name].append(share)
                rates[name].append(rate)
                print(f"{repetition + 1} of {repetitions}: {name}: {100 * share:.2f} % of a core", flush=True)

    def expected(name: str) -> list[float]:
        """What the gateway without the page would have taken at this arm's rates."""
        pairs = zip(shares["off"], rates["off"], rates[name], strict=True)
        return [share * rate / base for share, base, rate in pairs]

    return {
        "command": shlex.join(["python", "-m", "benchmarks.ui_cost", *sys.argv[1:]]),
        "versions": versions(),
        "machine": machine() | {"load_before": round(busy, 2)},
        "repetitions": repetitions,
        "seconds": seconds,
        "requests_a_second": round(statistics.mean(rate for many in rates.values() for rate in many), 1),
        "waiting": WAITING,
        "percent_of_a_core": {name: spread([100 * share for share in many]) for name, many in shares.items()},
        "more_than_off": {name: difference(many, expected(name)) for name, many in shares.items() if name != "off"},
        "picture_ms": spread([cost for cost, _ in seen[1:]]),
        "picture_bytes": spread([size for _, size in seen]),
        "each": {name: [round(100 * share, 3) for share in many] for name, many in shares.items()},
    }


def main() -> None:
    """Measure, print, and keep."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, help="write the JSON here")
    words.add_argument("--repetitions", type=int, default=12)
    words.add_argument("--seconds", type=float, default=8.0, help="of each turn")
    given = words.parse_args()
    found = measure(given.repetitions, given.seconds)
    for name, more in found["more_than_off"].items():
        print(f"{name}: {more['mean']:+.2f} % of a core ({more['low']:+.2f} to {more['high']:+.2f})")
    print(f"a picture takes {found['picture_ms']} ms, {found['picture_bytes']} bytes")
    if given.out:
        write_json(given.out, found)


if __name__ == "__main__":
    main()

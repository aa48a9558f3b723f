"""What the gateway costs, beside no gateway, nginx and a bare pass-through on the same HTTP stack, in one run.

python -m benchmarks.gateway --out benchmarks/results/gateway.json       (in the repository's root; about five minutes)
python -m benchmarks.gateway --short                                     (under a minute, for a look)

Every arm stands before the same fake engine and takes its turn in every repetition. On two cores the gateway has one,
and the engine and the client have the other. `wrk` and `nginx` are used where they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.overhead import stand
from benchmarks.overhead.load import Target, closed, flat_out, paced, run, wrk
from benchmarks.overhead.queueing import queueing
from benchmarks.overhead.telling import Arm, judged, rows_of, shown

from soonest.bench.printing import machine
from soonest.report import write_json

if TYPE_CHECKING:
    from benchmarks.overhead.load import Timed
    from benchmarks.overhead.telling import Rows

CHUNKS: Final = 32
ANSWER_TOKENS: Final = 155
"""About 1,000 bytes of the fake engine's words."""
CONNECTIONS: Final = 32
RATE: Final = 100.0
GATE: Final = {"slots": 8, "step_ms": 10.0, "mean_tokens": 50}
GATE_CLIENTS: Final = 24
Cores = tuple[int | None, int | None]
"""Of the gateway, and of the engine and the client."""
STEP_MS: Final = 20.0
"""Between two events of a stream, where each is to come alone."""
NO_QUEUE: Final = ("--in-flight", "1000000")
PLAIN: Final = (*NO_QUEUE, "--predictor", "constant")
PROMPTS: Final = 64
"""Different ones, asked in turn."""


def body(tokens: int, *, stream: bool, number: int = 0) -> bytes:
    """About 700 bytes that ask for so many tokens."""
    text = f"{number:03d} " + "why " * 128 + f"tokens={tokens}"
    asked = {"model": "fake", "messages": [{"role": "user", "content": text}], "temperature": 0.7, "stream": stream}
    return json.dumps(asked | {"max_tokens": 4096}).encode()


def bodies(tokens: int, *, stream: bool) -> list[bytes]:
    """Different prompts for answers of one length."""
    return [body(tokens, stream=stream, number=number) for number in range(PROMPTS)]


def arms(url: str, folder: Path, core: int | None, stack: ExitStack, engine: stand.Process) -> list[Arm]:
    """All ways to the engine that can be had here."""
    found = [Arm("direct", "no gateway", engine, gateway=False)]
    if stand.nginx():
        process = stack.enter_context(stand.nginx_before(url, core, folder))
        found.append(Arm("nginx", "nginx, proxy_buffering off", process))
    else:
        print("nginx is not installed, so its row is left out (Debian: apt-get install nginx-light)")
    commands = {
        "bare": (stand.bare(url), "raw ASGI, uvicorn, uvloop, httptools, aiohttp"),
        "soonest": (stand.gateway(url, "none", *PLAIN), f"--journal none {' '.join(PLAIN)}"),
        "forecasts": (stand.gateway(url, "none", *NO_QUEUE), "the same with the default predictor"),
        "journal": (stand.gateway(url, str(folder / "default.db"), *PLAIN), "as soonest, with a journal in SQLite"),
        "strict": (
            stand.gateway(url, str(folder / "strict.db"), *PLAIN, "--strict-journal"),
            "as journal, with --strict-journal",
        ),
    }
    for name, (words, meaning) in commands.items():
        found.append(Arm(name, meaning, stack.enter_context(stand.running(words, core))))
    return found


def flat(arm: Arm, engine: stand.Process, what: str, asked: list[bytes], seconds: float, core: int | None) -> None:
    """As many answers as there can be at 32 connections, and the processor time of one."""
    cpu, busy = arm.process.cpu(), engine.cpu()
    answers, took = run(flat_out(arm.process.url, asked, CONNECTIONS, seconds, stand.on(core)))
    arm.note(f"{what}_a_second", answers / took)
    arm.note(f"{what}_cpu_us", 1e6 * (arm.process.cpu() - cpu) / answers)
    arm.note(f"{what}_engine_core", (engine.cpu() - busy) / took)


def open_loop(arm: Arm, what: str, asked: list[bytes], seconds: float) -> list[Timed]:
    """Answers at 100 requests a second."""
    timed = run(paced([Target.of(arm.process.url, one) for one in asked], RATE, seconds))
    if any(one.status != 200 for one in timed):
        raise RuntimeError(f"{arm.name}: an answer failed")
    whole = sorted(1e3 * (one.ended - one.left) for one in timed)
    arm.note(f"{what}_p50_ms", statistics.median(whole))
    arm.note(f"{what}_p99_ms", whole[int(0.99 * len(whole))])
    return timed


def stepped(arm: Arm, process: stand.Process, seconds: float) -> None:
    """Processor time of an event that comes alone: 32 streams, an event of each every 20 ms."""
    target = Target.of(process.url, body(1000, stream=True))
    cpu = process.cpu()
    _, events, took = run(closed([target], CONNECTIONS, 0.0, seconds))
    arm.note("alone_a_second", events / took)
    arm.note("alone_cpu_us", 1e6 * (process.cpu() - cpu) / events)


def gate(
    stack: ExitStack, folder: Path, cores: tuple[int | None, int | None], repetitions: int, seconds: float
) -> Rows:
    """Tokens a second through a gate that keeps an engine of 8 slots full, and without it."""
    slots, step = int(GATE["slots"]), GATE["step_ms"]
    lengths = [30, 70, 45, 55, 20, 80, 40, 60]
    words = stand.engine(slots=slots, step_ms=step)
    ways = {"direct": [], "fixed": ["--in-flight", str(slots)], "learned": []}
    found: dict[str, stand.Process] = {}
    for name, more in ways.items():
        engine = stack.enter_context(stand.running(words, cores[1]))
        command = stand.gateway(engine.url, str(folder / f"gate-{name}.db"), *more)
        found[name] = engine if name == "direct" else stack.enter_context(stand.running(command, cores[0]))
    tokens: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, process in found.items():
            asked = [Target.of(process.url, body(n, stream=True)) for n in lengths]
            _, events, took = run(closed(asked, GATE_CLIENTS, 2.0, seconds))
            tokens[name].append(events / took)
    direct = statistics.median(tokens["direct"])
    return {
        name: {
            "events_a_second": round(statistics.median(many), 1),
            "loss_percent": round(100 * (1 - statistics.median(many) / direct), 2),
            "repetitions": [round(one, 1) for one in many],
        }
        for name, many in tokens.items()
    }


def versions() -> dict[str, str]:
    """Of all that has a part in it."""
    said = {name: version(name) for name in ("aiohttp", "uvicorn", "uvloop", "httptools", "numpy")}
    for command, flag in ((stand.nginx(), "-v"), (wrk(), "-v")):
        if command:
            told = subprocess.run([command, flag], capture_output=True, text=True, check=False)  # noqa: S603 - asks it
            found = re.search(r"[\d.]+\d", told.stderr + told.stdout)
            said[Path(command).name] = found[0] if found else "?"
    return {"python": platform.python_version(), **said}


def measure(*, short: bool) -> dict[str, object]:
    """All of it."""
    repetitions, seconds, gate_seconds = (1, 1.0, 3.0) if short else (3, 2.0, 8.0)
    waiting, operations = (10_000, 1000) if short else (100_000, 4000)
    available, busy = sorted(os.sched_getaffinity(0)), os.getloadavg()[0]
    pinned = len(available) > 1 and shutil.which("taskset") is not None
    cores = (available[0], available[1]) if pinned else (None, None)
    if pinned:
        os.sched_setaffinity(0, {available[1]})
    answer, stream = bodies(ANSWER_TOKENS, stream=False), bodies(CHUNKS, stream=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        engine = stack.enter_context(stand.running(stand.engine(slots=1_000_000), cores[1]))
        slow = stack.enter_context(stand.running(stand.engine(slots=1_000_000, step_ms=STEP_MS), cores[1]))
        found = arms(engine.url, folder, cores[0], stack, engine)
        alone = {
            "bare": stack.enter_context(stand.running(stand.bare(slow.url), cores[0])),
            "soonest": stack.enter_context(stand.running(stand.gateway(slow.url, "none", *PLAIN), cores[0])),
        }
        for repetition in range(-1, repetitions):
            for arm in found:
                lasts = seconds if repetition >= 0 else 1.0
                flat(arm, engine, "requests", answer, lasts, cores[1])
                flat(arm, engine, "streams", stream, lasts, cores[1])
                open_loop(arm, "paced", answer, lasts)
                timed = open_loop(arm, "streamed", stream, lasts)
                arm.note("first_ms", 1e3 * statistics.median(one.first - one.left for one in timed))
                if arm.name in alone:
                    stepped(arm, alone[arm.name], lasts)
                if repetition < 0:
                    arm.seen.clear()
                else:
                    print(f"{arm.name}, {repetition + 1} of {repetitions}", flush=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        gates = gate(stack, Path(name), cores, 1 if short else 2, gate_seconds)
    rows, queue = rows_of(found, CHUNKS + 1), queueing(waiting, operations, seed=1)
    print(f"load of the machine before it began: {busy:.2f}; above 0.5, times are those of a busy machine")
    print(*shown(found, rows), sep="\n")
    for line in queue:
        print(line)
    for way, line in gates.items():
        print(way, line)
    targets = judged(rows, queue, gates, RATE)
    for line in targets:
        print(line)
    return {
        "command": f"python -m benchmarks.gateway{' --short' if short else ''} --out benchmarks/results/gateway.json",
        "seed": 1,
        "versions": versions(),
        "machine": machine() | {"cores": len(available), "pinned": pinned, "load_before": round(busy, 2)},
        "client": "wrk at full speed, asyncio at a pace" if wrk() else "asyncio",
        "connections": CONNECTIONS,
        "request_bytes": len(answer[0]),
        "chunks_a_stream": CHUNKS,
        "gate_engine": dict(GATE),
        "gate_clients": GATE_CLIENTS,
        "targets": targets,
        "arms": rows,
        "queue": queue,
        "gate": gates,
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--short", action="store_true", help="one short repetition, for a look")
    given = parser.parse_args()
    found = measure(short=given.short)
    if given.out:
        write_json(given.out, found)


if __name__ == "__main__":
    main()

"""What a journal costs: microseconds of the event loop a request, requests a second, and the wait in strict mode.

python benchmarks/journal.py [postgresql://USER@HOST/DATABASE]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from soonest.data.journal import Row
from soonest.gateway.journal import Journal, journal

REQUESTS, BURST = 20_000, 10
STRICT_REQUESTS = 400


def accepted(i: int) -> Row:
    """A row as a gateway makes it at admission."""
    return Row(
        f"chatcmpl-{i:032d}",
        arrival=time.time(),
        admitted=time.time(),
        prompt_tokens=700,
        max_tokens=1024,
        low=20.0,
        expected=150.0,
        high=600.0,
        coverage=0.9,
        known=True,
        policy="response_ratio(shortest)",
        tenant="alice",
        model="meta-llama/Llama-3.1-8B-Instruct",
        engine="http://127.0.0.1:8000",
    )


def finished(row: Row) -> Row:
    """The same at its end."""
    now = time.time()
    return row._replace(
        first_token=now,
        finished=now,
        output_tokens=150,
        outcome="finished",
        finish_reason="stop",
        forecast_seconds=1e-4,
    )


async def paced(url: str, a_second: float) -> tuple[float, float]:
    """Microseconds of the loop a request, without and with making its rows, at a pace that leaves it idle time."""
    kept = journal(url)
    handing = making = 0.0
    n = min(REQUESTS, int(3 * a_second))
    for i in range(0, n, BURST):
        begin = time.perf_counter()
        rows = [accepted(k) for k in range(i, i + BURST)]
        ends = [finished(row) for row in rows]
        middle = time.perf_counter()
        for row in rows:
            kept.accepted(row)
        for row in ends:
            kept.finished(row)
        end = time.perf_counter()
        making, handing = making + middle - begin, handing + end - middle
        await asyncio.sleep(BURST / a_second)
    await closed(kept, n)
    return 1e6 * handing / n, 1e6 * (handing + making) / n


async def flat_out(url: str) -> float:
    """Requests a second, with nothing else to do, until all are committed."""
    kept = journal(url, most=2 * REQUESTS)
    begin = time.perf_counter()
    for i in range(REQUESTS):
        row = accepted(i)
        kept.accepted(row)
        kept.finished(finished(row))
        if i % 100 == 0:
            await asyncio.sleep(0)
    await closed(kept, REQUESTS)
    return REQUESTS / (time.perf_counter() - begin)


async def strict(url: str, together: int) -> list[float]:
    """Milliseconds for which an answer's last event is withheld, with so many ending at a time."""
    kept = journal(url, strict=True)
    waits: list[float] = []
    count = iter(range(STRICT_REQUESTS))

    async def one() -> None:
        for i in count:
            row = accepted(i)
            kept.accepted(row)
            await asyncio.sleep(0.005)
            begin = time.perf_counter()
            future = kept.finished(finished(row))
            if future is not None and await future:
                waits.append(1e3 * (time.perf_counter() - begin))

    await asyncio.gather(*(one() for _ in range(together)))
    await closed(kept, STRICT_REQUESTS)
    return waits


async def closed(kept: Journal, n: int) -> None:
    """Nothing may be lost on the way."""
    await kept.close(60)
    if (kept.committed, kept.lost) != (n, 0):
        raise SystemExit(f"{kept.committed} of {n} committed, {kept.lost} lost")


def main() -> None:
    """Measure, and print one line each."""
    with tempfile.TemporaryDirectory() as folder:

        def place(name: str) -> str:
            return sys.argv[1] if len(sys.argv) > 1 else str(Path(folder) / f"{name}.db")

        for a_second in (100, 1000, 3000):
            handing, whole = asyncio.run(paced(place(f"paced{a_second}"), a_second))
            print(f"{a_second} requests/s: {handing:.1f} us of the loop a request, {whole:.1f} us with making its rows")
        print(f"flat out: {asyncio.run(flat_out(place('flat'))):,.0f} requests/s")
        for together in (1, 16, 128):
            waits = sorted(asyncio.run(strict(place(f"strict{together}"), together)))
            p99 = waits[int(0.99 * len(waits))]
            print(f"strict, {together} at a time: {statistics.median(waits):.2f} ms withheld, p99 {p99:.2f} ms")


if __name__ == "__main__":
    main()

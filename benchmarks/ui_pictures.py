"""Pictures of the gateway's live page under a made-up load, at the width of a desk and of a phone.

python -m benchmarks.ui_pictures --out docs/images        (in the repository's root; about three minutes)

Two fake engines, a gateway with its default predictor, requests of three tenants at random times.
Needs Chromium (Debian's package `chromium`).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import shutil
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from benchmarks.overhead import stand
from PIL import Image
from playwright.async_api import TimeoutError as PlaywrightTimeoutError
from playwright.async_api import async_playwright

from soonest.gateway.journal import journal
from soonest.gateway.journal.savings import Savings
from soonest.gateway.serve import serve
from soonest.gateway.settings import Settings
from soonest.policies import policy
from soonest.predict import predictor
from soonest.serving import run

if TYPE_CHECKING:
    from playwright.async_api import Page

POLICY: Final = "response_ratio(shortest)"
SLOTS: Final = 8
STEP_MS: Final = (25.0, 25.0)
RATE: Final = 6.8
"""Requests a second: about as many as the engines bear."""
KINDS: Final = {
    "Translate the sentence that follows": 30,
    "Answer the question that follows": 70,
    "Summarise the text that follows": 120,
    "Write a story about what follows": 320,
}
"""How a prompt begins, and about how many tokens its answer has."""
TENANTS: Final = {"search": 0.5, "support": 0.3, "batch": 0.2}
REPLAY_EVERY: Final = 75.0
REPLAY_SECONDS: Final = 90.0
COLOURS: Final = 256


def gateway(engines: list[str], rows: str) -> int:
    """A gateway of which a replay is told sooner than usual."""
    settings = Settings(tuple(engines), policy=POLICY, in_flight=SLOTS, overdue_after=15.0, ui=True, drain_timeout=1.0)
    start = serve(
        settings,
        policy(POLICY),
        "127.0.0.1",
        0,
        predictor=predictor("online(conformal(history))"),
        journal=journal(rows),
        savings=Savings(rows, every=REPLAY_EVERY),
    )
    return run(start)


async def load(url: str, seconds: float) -> None:
    """Requests at random times, the same in every run."""
    draw, loop = random.Random(7), asyncio.get_running_loop()  # noqa: S311 - no secret
    end = loop.time() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as all_of:
        number = 0
        while loop.time() < end:
            number += 1
            kind = draw.choices(list(KINDS), (4, 3, 2, 1))[0]
            tenant = draw.choices(list(TENANTS), list(TENANTS.values()))[0]
            tokens = max(2, round(draw.lognormvariate(0, 0.35) * KINDS[kind]))
            all_of.create_task(one(session, url, f"{kind}: number {number}, tokens={tokens}", tenant, number))
            await asyncio.sleep(draw.expovariate(RATE))


async def one(session: aiohttp.ClientSession, url: str, text: str, tenant: str, number: int) -> None:
    """One streamed answer, read to its end; the gateway may stop before."""
    body = {"model": "fake", "messages": [{"role": "user", "content": text}], "stream": True, "max_tokens": 1000}
    headers = {"X-Request-Id": f"{tenant}-{number:05d}", "x-gateway-inference-fairness-id": tenant}
    with suppress(aiohttp.ClientError):
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
            await answer.read()


async def pictures(url: str, folder: Path, seconds: float) -> None:
    """Look at the page while the load goes on."""
    loading = asyncio.create_task(load(url, seconds + REPLAY_SECONDS + 60))
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        desk = await browser.new_page(viewport={"width": 1280, "height": 900})
        await desk.goto(f"{url}/ui")
        await asyncio.sleep(seconds)
        with suppress(PlaywrightTimeoutError):  # of a replay that is not to be trusted the page says so
            await desk.locator("#latencies tr").nth(2).wait_for(timeout=1000 * REPLAY_SECONDS)
        await save(desk, folder / "ui-desktop.png")
        phone = await browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        await phone.goto(f"{url}/ui")
        await asyncio.sleep(4)
        await save(phone, folder / "ui-phone.png")
        await phone.select_option("#by-state", "finished")
        await phone.locator("#rows button").first.click()
        await phone.locator("#life[open]").wait_for()
        await save(phone, folder / "ui-request.png", whole=False)
        await browser.close()
    loading.cancel()
    with suppress(asyncio.CancelledError):
        await loading


async def save(page: Page, path: Path, *, whole: bool = True) -> None:
    """In few colours: a page needs no more, and the file stays small."""
    shot = Image.open(io.BytesIO(await page.screenshot(full_page=whole))).convert("RGB")
    small = io.BytesIO()
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    await asyncio.to_thread(path.write_bytes, small.getvalue())
    print(f"{path}: {len(small.getvalue()):,} bytes")


def main() -> int:
    """Write the pictures."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, default=Path("docs/images"))
    words.add_argument("--seconds", type=float, default=100.0, help="of load before the first picture")
    words.add_argument("--gateway", nargs="+", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.gateway:
        *engines, rows = asked.gateway
        return gateway(engines, rows)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="soonest-"))
        made = (stand.running(stand.engine(slots=SLOTS, step_ms=step), None) for step in STEP_MS)
        engines = [stack.enter_context(engine).url for engine in made]
        command = [sys.executable, "-m", "benchmarks.ui_pictures", "--gateway", *engines, f"{folder}/journal.db"]
        started = stack.enter_context(stand.running(command, None))
        asyncio.run(pictures(started.url, asked.out, asked.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())

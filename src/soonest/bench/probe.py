"""What an endpoint says about itself: its model, its slots, and whether anything runs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Final

import aiohttp

from soonest.core import SoonestError
from soonest.core.errors import without_password

UNDER_WAY: Final = re.compile(
    r"^\w+:?_?(?:num_requests_waiting|num_requests_running|num_queue_reqs|num_running_reqs)(?:\{.*\})? (\S+)$",
    re.MULTILINE,
)
SLOTS: Final = re.compile(r"^soonest_engine_max_num_seqs(?:\{.*\})? (\S+)$", re.MULTILINE)
PAUSE: Final = 0.05
"""Seconds between two looks."""


async def model_of(url: str, key: str | None = None) -> str:
    """The first model that an endpoint names.

    Raises:
        SoonestError: nobody answers, or it names none.
    """
    target = f"{root(url)}/v1/models"
    shown = without_password(target)
    try:
        return str(json.loads(await _read(target, key))["data"][0]["id"])
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise SoonestError(f"{shown} does not answer ({error}): is the URL right and the server up?") from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise SoonestError(f"{shown} names no model: give --model") from None


async def slots_of(url: str) -> int | None:
    """Requests that an engine runs at once, where it tells."""
    found = SLOTS.search(await _metrics(url))
    return int(float(found[1])) if found else None


async def idle(url: str, seconds: float) -> bool:
    """Wait until an engine's metrics say that nothing runs or waits, at most so long; true if so.

    An engine without metrics counts as idle: all answers have come, or been given up.
    """
    until = time.perf_counter() + seconds
    while any(float(count) for count in UNDER_WAY.findall(await _metrics(url))):
        if time.perf_counter() > until:
            return False
        await asyncio.sleep(PAUSE)
    return True


def root(url: str) -> str:
    """A server's address, where OpenAI's base URL is given too."""
    return url.rstrip("/").removesuffix("/v1")


async def _metrics(url: str) -> str:
    try:
        return await _read(f"{root(url)}/metrics", None)
    except (TimeoutError, aiohttp.ClientError, OSError):
        return ""


async def _read(target: str, key: str | None) -> str:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session, session.get(target) as response:
        response.raise_for_status()
        return await response.text()

"""What the policy saves, as a replay of the journal says, while the replay can be trusted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Replayed = Callable[[str], Awaitable[dict[str, object]]]

EVERY: Final = 600.0
"""Seconds between two replays."""
LIMIT: Final = 300.0
"""Seconds that a replay may take."""
NICE: Final = 10
SPREAD: Final = ("mean", "median", "p90", "p99", "max")
LOGGER: Final = logging.getLogger("soonest.gateway")


@dataclass(frozen=True, slots=True)
class Saved:
    """What fcfs would have cost more, by a replay: seconds of JCT for each request, over `requests` of them.

    `difference` is how far the replay lay from what really happened, as a share of the mean JCT. `own` and `fcfs` are
    both JCTs' `mean`, `median`, `p90`, `p99` and `max` in seconds.
    """

    seconds_a_request: float
    requests: int
    difference: float
    own: Mapping[str, float]
    fcfs: Mapping[str, float]


class Savings:
    """Replays a journal every so often, in a process of low priority; `saved` is `None` where nothing can be said.

    A replay counts only while the simulator repeats the journal's own policy within 10 % in mean JCT. Why there is
    nothing to say is logged, once for each reason.
    """

    def __init__(self, url: str, every: float = EVERY, replay: Replayed | None = None) -> None:
        self.url = url
        self.every = every
        self.saved: Saved | None = None
        self.reason = "no replay yet"
        self._replay = replayed if replay is None else replay

    async def run(self) -> None:
        """Replay again and again until cancelled."""
        while True:
            await asyncio.sleep(self.every)
            await self.look()

    async def look(self) -> None:
        """Replay once."""
        try:
            self._take(saved_by(await self._replay(self.url)), "")
        except NoReplayError as error:
            self._take(None, str(error))
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._take(None, f"the replay failed: {type(error).__name__}")

    def _take(self, saved: Saved | None, reason: str) -> None:
        self.saved = saved
        if reason != self.reason:
            self.reason = reason
            if saved is None:
                LOGGER.warning("no estimate of the time saved: %s", reason)
            else:
                LOGGER.info(
                    "time saved against fcfs: %.3g s a request, over %d; the replay is %+.1f %% off",
                    saved.seconds_a_request,
                    saved.requests,
                    100 * saved.difference,
                )


class NoReplayError(Exception):
    """Why nothing can be said of the time saved."""


def saved_by(document: dict[str, object]) -> Saved:
    """Read what `soonest sim --journal --json` wrote.

    Raises:
        NoReplayError: the replay is not to be trusted, or does not say what fcfs would have given.
    """
    check, runs = document.get("replay"), document.get("runs")
    if not isinstance(check, dict) or not isinstance(runs, list):
        raise NoReplayError("the replay does not say how near it came")
    off = float(check["difference"])
    if not check["trusted"]:
        raise NoReplayError("the simulator does not repeat what happened: its mean JCT is over 10 % off")
    spreads = {run["policy"]: {word: (run[f"{word}_e2el_ms"] or 0) / 1e3 for word in SPREAD} for run in runs}
    counts = {run["policy"]: int(run["completed"]) for run in runs}
    if "fcfs" not in spreads or check["policy"] not in spreads:
        raise NoReplayError("the replay does not say what fcfs would have given")
    own, first = spreads[check["policy"]], spreads["fcfs"]
    return Saved(first["mean"] - own["mean"], counts[check["policy"]], off, own, first)


async def replayed(url: str) -> dict[str, object]:
    """`soonest sim --journal`, in a process of its own; where the journal lies is told on stdin, not in its arguments.

    Raises:
        NoReplayError: it cannot be replayed, or not in time.
    """
    with tempfile.TemporaryDirectory(prefix="soonest-") as folder:
        out = Path(folder) / "replay.json"
        words = (sys.executable, "-m", "soonest", "sim", "--journal", "-", "--json", str(out))
        child = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
            async with asyncio.timeout(LIMIT):
                _, said = await child.communicate(url.encode() + b"\n")
        except TimeoutError:
            raise NoReplayError(f"a replay takes more than {LIMIT:.0f} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode != 0:
            raise NoReplayError(said.decode(errors="replace").strip().rpartition("\n")[2] or "the replay failed")
        return dict(json.loads(out.read_text(encoding="utf-8")))

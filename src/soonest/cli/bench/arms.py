"""From the words of `--compare` to gateways that listen."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from soonest.bench import Endpoint
    from soonest.cli.bench.talk import Talk
    from soonest.studies import Arm

TOLD = "predictor"
"""What an arm without an @ is told."""
SILENT = {"oracle", "none"}
"""Forecasts that need no predictor: the client tells them, or nobody does."""

UNASKED = "constant"
"""The cheapest predictor, for a gateway whose policy asks none or is told by the client."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """One arm of a comparison: a policy, what it is told, and the folder of its predictor, if it needs one."""

    arm: Arm
    folder: str | None

    @property
    def label(self) -> str:
        """The policy, and its forecasts where they are not the usual."""
        return self.arm.policy if self.arm.forecast == TOLD or self.arm.policy == "fcfs" else self.arm.label

    def words(self, engine: str, flags: str) -> list[str]:
        """Of the command that starts it; flags that are given last win."""
        from soonest.bench.servers import QUIET

        words = ["serve", "--engine", engine, "--policy", self.arm.policy, "--predictor", self.folder or UNASKED]
        return [*words, *QUIET, *shlex.split(flags)]


def gateways(words: Sequence[str], named: Mapping[str, str], shipped: str | None) -> list[Gateway]:
    """Read the words; `named` are predictors' folders by name, `shipped` the one for a policy that names none.

    Raises:
        PolicyError: a policy is unknown, or named twice.
        SimulationError: it is told nothing that exists.
    """
    from soonest.core import SimulationError
    from soonest.policies import policy
    from soonest.studies import arms

    folders = {**({} if shipped is None else {TOLD: shipped}), **named}
    made = []
    for arm in arms(words, TOLD):
        policy(arm.policy)
        needed = arm.policy != "fcfs" and arm.forecast not in SILENT
        if needed and arm.forecast not in folders:
            remedy = "--predictor DIR" if arm.forecast == TOLD else f"--predictor {arm.forecast}=DIR"
            raise SimulationError(f"{arm.policy} needs forecasts: add {remedy}, or name {arm.policy}@oracle")
        made.append(Gateway(arm, folders[arm.forecast] if needed else None))
    return made


@asynccontextmanager
async def serving_all(
    made: Sequence[Gateway], engine: str, flags: str, endpoint: Endpoint, talk: Talk
) -> AsyncIterator[list[Endpoint]]:
    """Start a gateway for each arm; gives where they listen, in the same order."""
    from dataclasses import replace

    from soonest.bench.servers import serving

    async with AsyncExitStack() as running:
        talk.begin(f"starting {len(made)} gateways")
        starting = (running.enter_async_context(serving(*gateway.words(engine, flags))) for gateway in made)
        urls = await asyncio.gather(*starting, return_exceptions=True)  # all of them, so that all are stopped
        for url in urls:
            if isinstance(url, BaseException):
                raise url
        yield [replace(endpoint, url=str(url)) for url in urls]


def shipped_forecasts() -> str:
    """The folder of the shipped model's forecasts."""
    from soonest.engines import tiny

    return str(tiny.forecasts())

"""Start what is not there yet, measure, and stop it again."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from soonest.cli.bench.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from soonest.bench import Comparison, Contender, Endpoint, Plan
    from soonest.bench.call import Api
    from soonest.cli.bench.arms import Gateway

PASS_SECONDS = 6.0
"""How long the closed loop sends where a run has as many requests as arrive in a few seconds."""
UNTOLD = 64
"""Calls under way in the closed loop where the engine does not tell its slots."""
RAMP_SECONDS = 12.0
"""How long each gateway gets to learn how much an engine takes that does not tell: from 8 to over 64."""
LAPS = 2
"""Else so many times its slots, so that all of them are busy."""


@dataclass(frozen=True)
class Setup:
    """What is measured, and how; named as the flags are."""

    plan: Plan
    arms: Sequence[Gateway]
    url: str | None
    engine: str | None
    model: str | None
    served: str | None
    api: Api
    key: str | None
    timeout: float
    temperature: float
    extra: Mapping[str, object]
    engine_flags: str
    gateway_flags: str
    loads: Sequence[float]
    rate: float | None
    requests: int | None
    seconds: float
    concurrency: int | None
    most: int | None
    slos: Mapping[str, float]
    percentiles: Sequence[float]
    late_share: float

    @property
    def title(self) -> str:
        """Whose requests, in a few words."""
        if self.url is not None:
            return "this endpoint"
        if self.engine is not None:
            return "this engine"
        return "the shipped tiny model" if self.model is None else Path(self.model).name

    @property
    def engine_words(self) -> list[str]:
        """Of the command that starts the engine, whose own order is that of arrival: the order is the gateways'."""
        model = [] if self.model is None else [self.model]
        return [*model, "--port", "0", "--policy", "fcfs", *shlex.split(self.engine_flags)]

    def conditions(self) -> dict[str, object]:
        """All that the numbers depend on, but for addresses and secrets."""
        from soonest.report.study.origin import masked_flags

        plan = self.plan
        return {
            "target": self.title,
            "arms": [gateway.label for gateway in self.arms],
            "engine_flags": masked_flags(self.engine_flags),
            "gateway_flags": masked_flags(self.gateway_flags),
            "endpoint": self.api,
            "timeout": self.timeout,
            "temperature": self.temperature,
            "extra_body": dict(self.extra),
            "prompts": len(plan.calls),
            "trace": plan.trace.name if plan.arrivals == "replay" else None,
            "arrivals": plan.arrivals,
            "burstiness": plan.burstiness if plan.arrivals == "gamma" else None,
            "repetitions": plan.repetitions,
            "seed": plan.seed,
            "max_concurrency": self.most,
            "slos_ms": dict(self.slos),
            "late_share": self.late_share,
        }

    async def endpoint(self, url: str) -> Endpoint:
        """The endpoint at this URL, with what is asked of all."""
        from soonest.bench import Endpoint
        from soonest.bench.probe import model_of

        served = self.served or await model_of(url, self.key)
        return Endpoint(url, served, self.api, self.timeout, self.temperature, self.extra, self.key)

    def comparison(
        self, contenders: Sequence[Contender], engine: str, concurrency: int, ramp_seconds: float
    ) -> Comparison:
        """The comparison, not yet run."""
        from soonest.bench import Comparison

        return Comparison(
            contenders,
            self.plan,
            engine,
            self.loads,
            self.rate,
            self.requests,
            seconds=self.seconds,
            concurrency=concurrency,
            ramp_seconds=ramp_seconds,
            pass_seconds=PASS_SECONDS if self.requests is None else float("inf"),
            most=self.most,
            slos=self.slos,
            percentiles=self.percentiles,
            late_share=self.late_share,
        )


def measure(setup: Setup) -> Comparison:
    """Run it all under a progress bar, on uvloop where it is installed."""
    with Talk() as talk, asyncio.Runner(loop_factory=_loops()) as runner:
        return runner.run(_measured(setup, talk))


def _loops() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # it has none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _measured(setup: Setup, talk: Talk) -> Comparison:
    from soonest.bench import Contender
    from soonest.bench.probe import slots_of
    from soonest.bench.servers import serving
    from soonest.cli.bench.arms import serving_all

    async with AsyncExitStack() as running:
        engine = setup.url or setup.engine
        if engine is None:
            talk.begin(f"starting an engine for {setup.title}")
            engine = await running.enter_async_context(serving("engine", *setup.engine_words))
        endpoint = await setup.endpoint(engine)
        contenders = [Contender(endpoint.model, endpoint)]
        if setup.url is None:
            urls = await running.enter_async_context(
                serving_all(setup.arms, engine, setup.gateway_flags, endpoint, talk)
            )
            contenders = [
                Contender(gateway.label, at, gateway.arm.forecast == "oracle")
                for gateway, at in zip(setup.arms, urls, strict=True)
            ]
        slots = await slots_of(engine)
        concurrency = setup.concurrency or (UNTOLD if slots is None else LAPS * slots)
        learning = slots is None and setup.url is None and "--in-flight" not in setup.gateway_flags
        comparison = setup.comparison(contenders, engine, concurrency, RAMP_SECONDS if learning else 0.0)
        await comparison.run(talk)
        return comparison

"""What is asked of an engine, and how its answers find their way back into the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transformers.generation.continuous_batching.requests import RequestStatus

from soonest.engines.embedded.sampling import Sampling

if TYPE_CHECKING:
    from soonest.core import Forecast, Request


@dataclass(frozen=True, slots=True)
class Settings:
    """How an engine batches: requests at once, KV cache in tokens, tokens a block and a step, and its queue's shares.

    `memory` unset is room for `slots` requests of 1,024 tokens, and for one of the longest at least.
    """

    slots: int = 8
    memory: int | None = None
    block_size: int = 16
    token_budget: int = 256
    prefix_caching: bool = False
    overdue_after: float | None = None
    overdue_every: int = 8


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of the engine: token ids, how many more at most, how they are drawn, when it is enough.

    Generation ends after `max_tokens`, or at a token of `ends`. `arrival` is on the clock of `time.monotonic`.
    """

    id: str
    prompt: list[int] = field(repr=False)
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    ends: tuple[int, ...] = ()
    forecast: Forecast | None = None
    arrival: float | None = None
    priority: int = 0
    tenant: str = ""


@dataclass(slots=True, eq=False)
class Ticket:
    """A submitted job: its news arrive as tokens, an error, and whether it has ended.

    `tokens` is its length if it is taken away though it is complete, `cached` how much of the prompt was stored.
    """

    job: Job
    request: Request
    loop: asyncio.AbstractEventLoop
    news: asyncio.Queue[tuple[list[int], str | None, bool]] = field(default_factory=asyncio.Queue)
    sent: int = 0
    ended: bool = False
    tokens: int | None = None
    cached: int = 0


class Router:
    """Where the generation thread delivers: one call into the event loop for each step, new tokens only."""

    def __init__(self, tickets: dict[str, Ticket]) -> None:
        self.tickets = tickets
        self.tokens = 0

    def deliver(self, output: Any) -> None:
        """One request's news."""
        self.deliver_batch([output])

    def deliver_batch(self, outputs: list[Any]) -> None:
        """A step's news."""
        news: dict[asyncio.AbstractEventLoop, list[tuple[Ticket, tuple[list[int], str | None, bool]]]] = {}
        for output in outputs:
            ticket = self.tickets.get(output.request_id)
            if ticket is None:
                continue
            fresh = output.generated_tokens[ticket.sent :]
            ticket.sent += len(fresh)
            self.tokens += len(fresh)
            news.setdefault(ticket.loop, []).append((ticket, (fresh, output.error, output.is_finished())))
        for loop, batch in news.items():
            loop.call_soon_threadsafe(_hand_over, batch)

    @staticmethod
    def end(tickets: list[Ticket], error: str) -> None:
        """No more news will come for these; where one has ended already, nobody reads it."""
        for ticket in tickets:
            with contextlib.suppress(RuntimeError):  # its loop has ended, and nobody waits there
                ticket.loop.call_soon_threadsafe(ticket.news.put_nowait, ([], error, True))

    def fail_and_deliver(self, state: Any, error: Exception) -> None:
        """A request failed."""
        state.status = RequestStatus.FAILED
        state.error = str(error) or type(error).__name__
        self.deliver(state.to_generation_output())


def _hand_over(batch: list[tuple[Ticket, tuple[list[int], str | None, bool]]]) -> None:
    for ticket, news in batch:
        ticket.news.put_nowait(news)

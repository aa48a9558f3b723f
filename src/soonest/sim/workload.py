"""What a simulation runs: requests paired with the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from soonest.core import CapacityError, Request, RequestError, Rules
from soonest.core.request import DEFAULT_MAX_TOKENS
from soonest.sim.forecasts import Beliefs, oracle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.data import Trace

PICOSECONDS = 1e12
"""A float, so that a time in seconds is float(picoseconds) / 1e12 everywhere."""
LATEST_ARRIVAL = 4e6
"""Seconds: simulated time is a 64-bit count of picoseconds, about 100 days."""
FILLERS = {
    "priority": 0,
    "tenant": "",
    "max_tokens": DEFAULT_MAX_TOKENS,
    "ttft_target": math.inf,
    "e2e_target": math.inf,
}
"""What columns hold that are left out."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request and the truth about its answer. Only the simulator knows it."""

    request: Request
    output_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Jobs as columns of shape (n,), sorted by arrival; job objects are made when one is asked for.

    `arrival` is in seconds, `beliefs` holds what is forecast of each, targets are in seconds from arrival, `blocks` are
    the block hashes of prompts whose trace has them. Ids are row numbers.

    Raises:
        RequestError: a column is too short, unsorted, negative, not finite or absurd, or an answer is longer than its
            limit.
    """

    arrival: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    beliefs: Beliefs
    priority: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    tenant: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=np.str_))
    max_tokens: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    ttft_target: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, dtype=np.float64))
    e2e_target: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, dtype=np.float64))
    blocks: tuple[tuple[int, ...], ...] = ()
    block_tokens: int = 512

    def __post_init__(self) -> None:
        n = len(self.arrival)
        for name, filler in FILLERS.items():
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.full(n, filler))
        columns = (self.prompt_tokens, self.output_tokens, self.beliefs, *(getattr(self, name) for name in FILLERS))
        if n == 0 or any(len(c) != n for c in columns) or len(self.blocks) not in {0, n}:
            raise RequestError(f"a workload needs at least one job and equally long columns, got {n} arrivals")
        if not (np.isfinite(self.arrival).all() and self.arrival[0] >= 0 and self.arrival[-1] <= LATEST_ARRIVAL):
            raise RequestError(f"arrivals must be finite and lie in 0..{LATEST_ARRIVAL:.0f} seconds")
        if (np.diff(self.arrival) < 0).any():
            raise RequestError("arrivals must be sorted")
        limit = 1 << 31
        if self.prompt_tokens.min() < 0 or self.prompt_tokens.max() > limit:
            raise RequestError(f"prompt tokens must lie in 0..{limit}")
        if self.output_tokens.min() < 1 or self.output_tokens.max() > limit:
            raise RequestError(f"output tokens must lie in 1..{limit}")
        if (self.output_tokens > self.max_tokens).any():
            worst = int(np.argmax(self.output_tokens > self.max_tokens))
            raise RequestError(
                f"request {worst}: its answer is longer than its limit of {self.max_tokens[worst]} tokens"
            )

    @classmethod
    def of(cls, trace: Trace, beliefs: Beliefs | None = None) -> Self:
        """A trace with its forecasts; the oracle's where none are given."""
        return cls(
            trace.arrival,
            trace.prompt_tokens,
            trace.output_tokens,
            oracle(trace.output_tokens) if beliefs is None else beliefs,
            tenant=trace.tenant,
            blocks=trace.blocks,
            block_tokens=trace.block_tokens,
        )

    def __len__(self) -> int:
        return len(self.arrival)

    @property
    def rate(self) -> float:
        """Requests a second; infinite where all arrive at once."""
        span = float(self.arrival[-1] - self.arrival[0])
        return (len(self) - 1) / span if span > 0 else float("inf")

    @property
    def arrival_ps(self) -> NDArray[np.int64]:
        """Arrivals in picoseconds."""
        return np.rint(self.arrival * PICOSECONDS).astype(np.int64)

    def at(self, arrival: NDArray[np.float64]) -> Self:
        """The same jobs at other times."""
        return replace(self, arrival=np.asarray(arrival, dtype=np.float64))

    def believing(self, beliefs: Beliefs) -> Self:
        """The same jobs with other forecasts."""
        return replace(self, beliefs=beliefs)

    def job(self, i: int) -> Job:
        """Job `i` as an object."""
        request = Request(
            id=str(i),
            arrival=float(self.arrival[i]),
            prompt_tokens=int(self.prompt_tokens[i]),
            max_tokens=int(self.max_tokens[i]),
            priority=int(self.priority[i]),
            tenant=str(self.tenant[i]),
            forecast=self.beliefs.table[self.beliefs.index[i]],
            ttft_target=float(self.ttft_target[i]),
            e2e_target=float(self.e2e_target[i]),
        )
        return Job(request, int(self.output_tokens[i]))

    def check(self, rules: Rules) -> None:
        """Refuse a job that can never end under these rules, by name."""
        if rules.blocks is None and rules.token_budget is None:
            return
        never = ~rules.fits_alone(self.prompt_tokens, self.output_tokens)
        if never.any():
            i = int(np.argmax(never))
            raise CapacityError(
                f"request {i} can never run: {self.prompt_tokens[i]} prompt and {self.output_tokens[i]} output tokens, "
                f"but memory holds {rules.capacity} tokens and a step computes {rules.token_budget or 'any number'}; "
                "give more memory, or leave such requests out"
            )


def picoseconds_at(seconds: float) -> int:
    """The first picosecond that is not before `seconds`, as floats compare."""
    time = max(0, round(seconds * PICOSECONDS))
    step = 1
    while time / PICOSECONDS < seconds:
        time, step = time + step, 2 * step
    low, step = time, 1
    while low > 0 and low / PICOSECONDS >= seconds:
        low, step = max(0, low - step), 2 * step
    while low < time:
        middle = (low + time) // 2
        if middle / PICOSECONDS >= seconds:
            time = middle
        else:
            low = middle + 1
    return time

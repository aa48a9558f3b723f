"""What is known about a call before it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from soonest.core.errors import RequestError
from soonest.core.forecast import MAX_TOKENS, Forecast

DEFAULT_MAX_TOKENS = 1 << 20
UNKNOWN = Forecast.unknown(DEFAULT_MAX_TOKENS)


@dataclass(frozen=True, slots=True)
class Request:
    """One call as a scheduler may see it: no prompt text, and no truth about its answer.

    `arrival` is in seconds on the host's clock. `cached_tokens` of the prompt need no prefill. Lower `priority` goes
    first. Without a forecast a request is `unknown`; `max_tokens` caps every estimate of it. Targets are seconds from
    its arrival to its first token and to its end; infinite ones are none.

    Raises:
        RequestError: a count is negative or absurd, the arrival is no finite number, the limit is below one token, or a
            target is no time.
    """

    id: str
    arrival: float
    prompt_tokens: int
    cached_tokens: int = 0
    max_tokens: int = DEFAULT_MAX_TOKENS
    priority: int = 0
    tenant: str = ""
    model: str = ""
    forecast: Forecast = UNKNOWN
    ttft_target: float = math.inf
    e2e_target: float = math.inf

    def __post_init__(self) -> None:
        if not math.isfinite(self.arrival):
            raise RequestError(f"request {self.id!r}: arrival must be a finite number of seconds, got {self.arrival}")
        if not 0 <= self.prompt_tokens <= MAX_TOKENS:
            raise RequestError(
                f"request {self.id!r}: prompt_tokens must lie in 0..{MAX_TOKENS}, got {self.prompt_tokens}"
            )
        if not 0 <= self.cached_tokens <= self.prompt_tokens:
            raise RequestError(
                f"request {self.id!r}: cached_tokens must lie in 0..prompt_tokens, got {self.cached_tokens}"
            )
        if not 1 <= self.max_tokens <= MAX_TOKENS:
            raise RequestError(f"request {self.id!r}: max_tokens must lie in 1..{MAX_TOKENS}, got {self.max_tokens}")
        if not (self.ttft_target > 0 and self.e2e_target > 0):
            raise RequestError(
                f"request {self.id!r}: targets are seconds above 0, got {self.ttft_target} and {self.e2e_target}"
            )

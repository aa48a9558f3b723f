"""How long a forecast takes, from chat messages to the distribution."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import Prompt, SoonestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from soonest.core import Forecast

BATCH: Final = 64
MOST: Final = 500
WARM: Final = 8
"""Forecasts before the clock starts."""


def speed(
    predict: Callable[[Sequence[Prompt]], Sequence[Forecast]], prompts: Sequence[Prompt], *, batch: int = BATCH
) -> dict[str, float]:
    """Time of a forecast, from the messages of a chat request to the distribution; other work on the machine is in it.

    p50 and p99 over calls: at most 500 prompts are asked one by one, and then in batches; the first few are not timed.

    Formula: wall time of Prompt.from_body and predict / prompts. Unit: µs. Source: soonest.

    Raises:
        SoonestError: there is no prompt, or a batch is empty.
    """
    if not prompts or batch < 1:
        raise SoonestError("speed needs at least one prompt, and batches of at least one")
    asked = [(_body(prompt), _facts(prompt)) for prompt in prompts[:MOST]]
    batches = [asked[i : i + batch] for i in range(0, len(asked), batch)]
    for request in asked[:WARM]:
        _time(predict, [request])
    one = [_time(predict, [request]) for request in asked]
    _time(predict, batches[0])
    many = [_time(predict, requests) for requests in batches for _ in range(3)]
    return {
        f"us_{kind}_p{p}": float(np.percentile(times, p))
        for kind, times in (("one", one), ("batch", many))
        for p in (50, 99)
    }


def _time(
    predict: Callable[[Sequence[Prompt]], Sequence[Forecast]],
    requests: Sequence[tuple[dict[str, object], dict[str, object]]],
) -> float:
    start = perf_counter_ns()
    predict([Prompt.from_body(body, **facts) for body, facts in requests])
    return (perf_counter_ns() - start) / 1000 / len(requests)


def _body(prompt: Prompt) -> dict[str, object]:
    """What a client sends."""
    turns = [{"role": message.role, "content": message.text} for message in prompt.messages]
    body = {"model": prompt.model, "messages": turns, "max_tokens": prompt.max_tokens}
    return body if prompt.temperature is None else {**body, "temperature": prompt.temperature}


def _facts(prompt: Prompt) -> dict[str, object]:
    """What a host adds."""
    names = ("id", "tenant", "conversation", "prompt_tokens", "cached_tokens")
    return {name: getattr(prompt, name) for name in names}

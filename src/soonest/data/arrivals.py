"""When calls arrive: random, regular and replayed processes, and traces made of two."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import TraceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.data.trace import Trace

MAX_CALLS = 1 << 31
MIN_BURSTINESS, MAX_BURSTINESS = 1e-3, 1e3


def poisson(n: int, rate: float, seed: int) -> NDArray[np.float64]:
    """Times of `n` calls at `rate` a second, independent of each other; the first arrives at 0."""
    return gamma(n, rate, 1.0, seed)


def gamma(n: int, rate: float, burstiness: float, seed: int) -> NDArray[np.float64]:
    """Times of `n` calls at `rate` a second with gamma gaps; the first arrives at 0.

    `burstiness` is vLLM's: the shape of the gaps, whose squared coefficient of variation is 1 / burstiness. 1 is
    Poisson, less is burstier.
    """
    if not MIN_BURSTINESS <= burstiness <= MAX_BURSTINESS:
        raise TraceError(f"burstiness must lie in {MIN_BURSTINESS:g}..{MAX_BURSTINESS:g}, got {burstiness}")
    _check(n, rate)
    gaps = _generator(seed).gamma(shape=burstiness, scale=1 / (rate * burstiness), size=n - 1)
    return np.concatenate([[0.0], np.cumsum(gaps)])


def fixed(n: int, rate: float) -> NDArray[np.float64]:
    """Times of `n` calls, one every 1 / `rate` seconds; the first arrives at 0."""
    _check(n, rate)
    return np.arange(n, dtype=np.float64) / rate


def replayed(trace: Trace, rate: float | None = None, speedup: float | None = None) -> NDArray[np.float64]:
    """The trace's own times from 0: as they were, at a mean `rate` of calls a second, or `speedup` times as fast."""
    if not trace.has_arrivals:
        raise TraceError(f"trace {trace.name!r} has no arrival times: use poisson, gamma or fixed")
    if rate is not None and speedup is not None:
        raise TraceError("give rate or speedup, not both")
    for name, value in (("rate", rate), ("speedup", speedup)):
        if value is not None and not _is_rate(value):
            raise TraceError(f"{name} must be a finite number > 0, got {value}")
    times: NDArray[np.float64] = trace.arrival - trace.arrival[0]
    if speedup is not None:
        return times / speedup
    if rate is None:
        return times
    if not math.isfinite(trace.rate):
        raise TraceError(f"trace {trace.name!r}: all calls arrive at once, so they have no rate to change: use fixed")
    return times * (trace.rate / rate)


def repeat(trace: Trace, n: int) -> Trace:
    """The trace again and again until there are `n` calls, each lap one mean gap after the last call of the one before.

    Block hashes repeat too: to a prefix cache a later lap is not new.
    """
    _check(n, 1.0)
    rows = np.arange(n)
    laps, calls = rows // len(trace), rows % len(trace)
    span = float(trace.arrival[-1] - trace.arrival[0])
    gap = span / max(1, len(trace) - 1)
    arrival = trace.arrival[calls] + laps * (span + gap)
    blocks = tuple(trace.blocks[i] for i in calls) if trace.blocks else ()
    return replace(
        trace,
        arrival=arrival,
        prompt_tokens=trace.prompt_tokens[calls],
        output_tokens=trace.output_tokens[calls],
        tenant=trace.tenant[calls],
        predicted=trace.predicted[calls],
        blocks=blocks,
    )


def lengths_on(arrivals: Trace, lengths: Trace, seed: int) -> Trace:
    """Lengths of one trace on the arrivals and tenants of another.

    Lengths are drawn without replacement in shuffled order; when they run out, the same order begins again. Where the
    lengths' source states no prompt tokens, the arrivals' prompts and blocks stay.
    """
    n = len(arrivals)
    rows = drawn(n, len(lengths), seed)
    prompts = bool(lengths.prompt_tokens.any())
    source, calls = (lengths, rows) if prompts else (arrivals, np.arange(n))
    return replace(
        arrivals,
        name=f"{lengths.name} on {arrivals.name}",
        prompt_tokens=source.prompt_tokens[calls],
        output_tokens=lengths.output_tokens[rows],
        predicted=lengths.predicted[rows],
        blocks=tuple(source.blocks[i] for i in calls) if source.blocks else (),
        block_tokens=source.block_tokens,
        left_out=arrivals.left_out + lengths.left_out,
    )


def drawn(n: int, of: int, seed: int) -> NDArray[np.int64]:
    """`n` row numbers below `of`, in shuffled order, without replacement; then the same order again."""
    return np.asarray(np.resize(_generator(seed).permutation(of), n), dtype=np.int64)


def _check(n: int, rate: float) -> None:
    if not 1 <= n <= MAX_CALLS:
        raise TraceError(f"need 1 to {MAX_CALLS} calls, got {n}")
    if not _is_rate(rate):
        raise TraceError(f"rate must be a finite number of calls a second > 0, got {rate}")


def _is_rate(value: float) -> bool:
    """Whether both the rate and its gap are finite numbers over 0."""
    return math.isfinite(value) and value > 0 and math.isfinite(1 / value)


def _generator(seed: int) -> np.random.Generator:
    if seed < 0:
        raise TraceError(f"a seed is a whole number >= 0, got {seed}")
    return np.random.Generator(np.random.PCG64(seed))

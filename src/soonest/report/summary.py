"""A run in numbers, under the keys of `vllm bench serve`, so that the two compare by `diff`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import SoonestError
from soonest.report import measures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.core import Records
    from soonest.report.gaps import Gaps

Number = int | float | None
Summary = dict[str, Number]

SLOS = ("ttft", "tpot", "e2el")


def summarise(
    records: Records,
    *,
    gaps: Gaps | None = None,
    service: NDArray[np.float64] | None = None,
    slos: Mapping[str, float] | None = None,
    peak_memory: int | None = None,
    percentiles: Sequence[float] = (90, 99),
) -> Summary:
    """Every measure of one run; `None`, in JSON `null`, is a number that nobody knows.

    The keys are always the same: vLLM's first, in vLLM's order, then ours. `slos` are limits in milliseconds by the
    names `ttft`, `tpot` and `e2el`. `service` is what `slowdown` needs. Percentile 99 is always among `percentiles`.

    Raises:
        SoonestError: an SLO as `check_slos` says, or a percentile outside 0 to 100.
    """
    percents = sorted({float(p) for p in percentiles} | {99.0})
    if not 0 <= percents[0] <= percents[-1] <= 100:
        raise SoonestError(f"percentiles lie in 0..100, got {percentiles}")
    jct, queueing = measures.jct(records), measures.queueing(records)
    slowdown = np.array([]) if service is None else measures.slowdown(records, service)
    values: Summary = {
        "duration": measures.duration(records),
        "completed": measures.completed(records),
        "failed": measures.failed(records),
        "total_input_tokens": measures.total_input(records),
        "total_output_tokens": measures.total_output(records),
        "request_throughput": measures.request_throughput(records),
        "request_goodput": _goodput(records, slos or {}),
        "output_throughput": measures.output_throughput(records),
        "total_token_throughput": measures.total_token_throughput(records),
        **_spread("ttft_ms", 1000 * measures.ttft(records), percents),
        **_spread("tpot_ms", 1000 * measures.tpot(records), percents),
        **_gaps(gaps, percents),
        **_spread("e2el_ms", 1000 * jct, percents),
        "max_e2el_ms": _largest(1000 * jct),
        "mean_queue_ms": _mean(1000 * queueing),
        "p99_queue_ms": _percentile(1000 * queueing, 99),
        "max_queue_ms": 1000 * measures.max_wait(records),
        "mean_slowdown": _mean(slowdown),
        "p99_slowdown": _percentile(slowdown, 99),
        "evictions": measures.evictions(records),
        "preempted_percent": measures.preempted(records),
        "tokens_lost": measures.tokens_lost(records),
        "tokens_recomputed": measures.tokens_recomputed(records),
        "peak_memory_tokens": peak_memory,
        "total_latency_s": measures.total_latency(records),
        "quarter_throughput": measures.quarter_throughput(records),
        "jain_tenants": measures.jain(records),
    }
    return {key: None if value is None or not math.isfinite(value) else value for key, value in values.items()}


def check_slos(slos: Mapping[str, float]) -> None:
    """Refuse, before long work, limits that goodput cannot have.

    Raises:
        SoonestError: an unknown SLO, or a limit of no positive number of milliseconds.
    """
    if strange := set(slos) - set(SLOS):
        raise SoonestError(f"no SLO {', '.join(sorted(strange))}; known: {', '.join(SLOS)}, in milliseconds")
    for name, limit in slos.items():
        if not limit > 0:
            raise SoonestError(f"SLO {name} must be above 0 ms, got {limit:g}")


def _goodput(records: Records, slos: Mapping[str, float]) -> Number:
    check_slos(slos)
    if not slos:
        return None
    return measures.goodput(records, ttft_ms=slos.get("ttft"), tpot_ms=slos.get("tpot"), e2el_ms=slos.get("e2el"))


def _spread(key: str, values: NDArray[np.float64], percents: list[float]) -> Summary:
    return {
        f"mean_{key}": _mean(values),
        f"median_{key}": _percentile(values, 50),
        f"std_{key}": float(np.std(values)) if len(values) else None,
        **{f"p{_word(p)}_{key}": _percentile(values, p) for p in percents},
    }


def _gaps(gaps: Gaps | None, percents: list[float]) -> Summary:
    if gaps is None:
        return _spread("itl_ms", np.array([]), percents)
    return {
        "mean_itl_ms": 1000 * gaps.mean,
        "median_itl_ms": 1000 * gaps.percentile(50),
        "std_itl_ms": 1000 * gaps.std,
        **{f"p{_word(p)}_itl_ms": 1000 * gaps.percentile(p) for p in percents},
    }


def _word(percent: float) -> str:
    return f"{percent:g}"


def _mean(values: NDArray[np.float64]) -> Number:
    return float(values.mean()) if len(values) else None


def _largest(values: NDArray[np.float64]) -> Number:
    return float(values.max()) if len(values) else None


def _percentile(values: NDArray[np.float64], percent: float) -> Number:
    return float(np.percentile(values, percent)) if len(values) else None

"""Every measure by name: its label, unit and formula, for tables, footers and the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from soonest.report import measures
from soonest.report.gaps import Gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure. A summary's key ends in `key`; `function` is `None` where only the host can tell."""

    label: str
    unit: str
    formula: str
    source: str
    key: str
    function: Callable[..., object] | None


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "jct": Measure(
            "JCT", "s", "finished - arrival", "SSJF (arXiv:2404.08509); vLLM bench, E2EL", "e2el_ms", measures.jct
        ),
        "ttft": Measure("TTFT", "s", "first_token - arrival", "vLLM bench, TTFT", "ttft_ms", measures.ttft),
        "tpot": Measure(
            "TPOT", "s/token", "(jct - ttft) / (output_tokens - 1)", "vLLM bench, TPOT", "tpot_ms", measures.tpot
        ),
        "itl": Measure("ITL", "s", "gaps between successive tokens, pooled", "vLLM bench, ITL", "itl_ms", Gaps),
        "queueing": Measure(
            "queueing", "s", "admitted - arrival", "vLLM metrics, request queue time", "queue_ms", measures.queueing
        ),
        "max_wait": Measure("max wait", "s", "max(admitted - arrival)", "soonest", "max_queue_ms", measures.max_wait),
        "slowdown": Measure(
            "slowdown",
            "ratio",
            "jct / service",
            "queueing theory (slowdown, or stretch)",
            "slowdown",
            measures.slowdown,
        ),
        "duration": Measure(
            "duration", "s", "last finished - first arrival", "vLLM bench, duration", "duration", measures.duration
        ),
        "completed": Measure(
            "completed", "requests", "count(finished)", "vLLM bench, completed", "completed", measures.completed
        ),
        "failed": Measure("failed", "requests", "count(not finished)", "vLLM bench, failed", "failed", measures.failed),
        "total_input": Measure(
            "input",
            "tokens",
            "sum(prompt_tokens)",
            "vLLM bench, total_input_tokens",
            "total_input_tokens",
            measures.total_input,
        ),
        "total_output": Measure(
            "output",
            "tokens",
            "sum(output_tokens)",
            "vLLM bench, total_output_tokens",
            "total_output_tokens",
            measures.total_output,
        ),
        "request_throughput": Measure(
            "throughput",
            "requests/s",
            "completed / duration",
            "vLLM bench, request_throughput",
            "request_throughput",
            measures.request_throughput,
        ),
        "output_throughput": Measure(
            "output throughput",
            "tokens/s",
            "total_output / duration",
            "vLLM bench, output_throughput",
            "output_throughput",
            measures.output_throughput,
        ),
        "total_token_throughput": Measure(
            "token throughput",
            "tokens/s",
            "(total_input + total_output) / duration",
            "vLLM bench, total_token_throughput",
            "total_token_throughput",
            measures.total_token_throughput,
        ),
        "quarter_throughput": Measure(
            "25 %-completion throughput",
            "requests/s",
            "jobs done at t / (t - first arrival), t = when a quarter of all jobs is done",
            "SSJF (arXiv:2404.08509), its authors' code",
            "quarter_throughput",
            measures.quarter_throughput,
        ),
        "goodput": Measure(
            "goodput",
            "requests/s",
            "count(ttft <= a and tpot <= b and e2el <= c) / duration",
            "vLLM bench, request_goodput",
            "request_goodput",
            measures.goodput,
        ),
        "evictions": Measure(
            "evictions", "evictions", "sum(evictions)", "vLLM metrics, preemptions", "evictions", measures.evictions
        ),
        "preempted": Measure(
            "preempted",
            "%",
            "100 count(evictions > 0) / count(requests)",
            "soonest",
            "preempted_percent",
            measures.preempted,
        ),
        "tokens_lost": Measure(
            "tokens lost", "tokens", "sum(tokens_lost)", "soonest", "tokens_lost", measures.tokens_lost
        ),
        "tokens_recomputed": Measure(
            "tokens recomputed",
            "tokens",
            "sum(tokens_recomputed)",
            "soonest",
            "tokens_recomputed",
            measures.tokens_recomputed,
        ),
        "total_latency": Measure(
            "total latency",
            "s",
            "sum(jct)",
            "arXiv:2502.07115 and arXiv:2508.14544",
            "total_latency_s",
            measures.total_latency,
        ),
        "jain": Measure(
            "Jain's index",
            "index",
            "(sum x)^2 / (n sum x^2), x = mean JCT of a tenant",
            "Jain, Chiu and Hawe, 1984",
            "jain_tenants",
            measures.jain,
        ),
        "peak_memory": Measure(
            "peak memory", "tokens", "max(tokens held), told by the host", "soonest", "peak_memory_tokens", None
        ),
    }
)

"""A run as `vllm bench serve` prints it, and as JSON under its keys."""

from __future__ import annotations

import platform
import re
from collections import Counter
from typing import TYPE_CHECKING

from soonest.report import NOTHING_QUEUED, paired_gain
from soonest.report.study import origin
from soonest.report.table import NEGLIGIBLE_QUEUEING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from soonest.bench.comparison import Comparison, Run
    from soonest.report import Summary

WIDTH = 50
LATENCIES = (
    ("Time to First Token", "TTFT", "ttft_ms"),
    ("Time per Output Token (excl. 1st token)", "TPOT", "tpot_ms"),
    ("Inter-token Latency", "ITL", "itl_ms"),
    ("End-to-end Latency", "E2EL", "e2el_ms"),
)
COUNTS = (
    ("Successful requests:", "completed", "d"),
    ("Failed requests:", "failed", "d"),
    ("Benchmark duration (s):", "duration", ".2f"),
    ("Total input tokens:", "total_input_tokens", "d"),
    ("Total generated tokens:", "total_output_tokens", "d"),
    ("Request throughput (req/s):", "request_throughput", ".2f"),
    ("Request goodput (req/s):", "request_goodput", ".2f"),
    ("Output token throughput (tok/s):", "output_throughput", ".2f"),
    ("Peak output token throughput (tok/s):", "max_output_tokens_per_s", ".2f"),
    ("Peak concurrent requests:", "max_concurrent_requests", "d"),
    ("Total token throughput (tok/s):", "total_token_throughput", ".2f"),
)
OURS = (
    ("Mean queueing (ms):", "mean_queue_ms", ".2f"),
    ("P99 queueing (ms):", "p99_queue_ms", ".2f"),
    ("Longest wait (ms):", "max_queue_ms", ".2f"),
    ("Mean slowdown:", "mean_slowdown", ".2f"),
    ("Mean lateness of departures (ms):", "mean_lateness_ms", ".2f"),
    ("P99 lateness of departures (ms):", "p99_lateness_ms", ".2f"),
)


def report(summary: Summary) -> str:
    """The report in 50 columns; what nobody knows is left out."""
    lines = ["{:=^{}}".format(" Serving Benchmark Result ", WIDTH), *_lines(COUNTS, summary)]
    for title, short, key in LATENCIES:
        lines.append(f"{title:-^{WIDTH}}")
        names = [name for name in summary if re.fullmatch(rf"(mean|median|p[\d.]+)_{key}", name)]
        lines += _lines(
            [(f"{name[: -len(key) - 1].capitalize()} {short} (ms):", name, ".2f") for name in names], summary
        )
    lines += [f"{'Queue and Generator':-^{WIDTH}}", *_lines(OURS, summary), "=" * WIDTH]
    queue, whole = summary["mean_queue_ms"], summary["mean_e2el_ms"]
    if queue is not None and whole is not None and queue < NEGLIGIBLE_QUEUEING * whole:
        lines.append(NOTHING_QUEUED)
    return "\n".join(lines)


def remarks(label: str, runs: Sequence[Run], late_share: float) -> Iterator[str]:
    """What the numbers of one contender leave out."""
    reasons = sum((run.ran.reasons for run in runs), Counter[str]())
    if reasons:
        counted = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
        yield f"{label}: failed and in no latency: {counted}."
    if busy := sum(not run.idle for run in runs):
        yield f"{label}: THE ENGINE WAS BUSY when {busy} of {len(runs)} runs began, so they are not these calls' alone."
    if late := [run for run in runs if run.summary["late"]]:
        worst = max(run.summary["p99_lateness_ms"] or 0 for run in late)
        yield (
            f"{label}: LATE GENERATOR in {len(late)} of {len(runs)} runs: 1 % of departures were up to {worst:.3g} ms "
            f"late or more, over {late_share:.0%} of the mean JCT; send fewer a second, or from another machine."
        )
    if uncounted := sum(run.ran.uncounted for run in runs):
        yield f"{label}: the endpoint did not count the tokens of {uncounted} answers; their events stand for them."
    if not all(run.ran.open for run in runs):
        yield f"{label}: departures waited for answers (--max-concurrency), so the loop was not open."
    if any(run.ran.interrupted for run in runs):
        yield f"{label}: interrupted; only what had left is counted."


def oracle_shares(comparison: Comparison, load: float | None) -> dict[str, float]:
    """How much of the oracle's gain in mean JCT each arm has, of means over repetitions; nothing without an oracle."""
    rows = {row.policy: row.mean("mean_e2el_ms") for row in comparison.rows(load)}
    oracle = next((c.label for c in comparison.contenders if c.oracle), None)
    if oracle is None or oracle not in rows:
        return {}
    return shares(rows, oracle)


def shares(means: Mapping[str, float], oracle: str) -> dict[str, float]:
    """Each arm's gain over the first as a share of the oracle's, which must gain something, else there is none."""
    first = next(iter(means.values()))
    best = first - means[oracle]
    return {} if not best > 0 else {label: (first - mean) / best for label, mean in means.items() if label != oracle}


def oracle_gains(comparison: Comparison, load: float | None) -> bool:
    """Whether the 95 % confidence interval of the oracle's gain lies above 0."""
    first, *others = comparison.rows(load)
    known = {contender.label for contender in comparison.contenders if contender.oracle}
    row = next(row for row in others if row.policy in known)
    gain = paired_gain(row.values("mean_e2el_ms"), first.values("mean_e2el_ms"))
    return gain.half_width is not None and gain.mean > gain.half_width


def flat(run: Run) -> dict[str, object]:
    """A run as one JSON object: what it was, why requests failed, then every measure."""
    conditions = {"policy": run.label, "load": run.load, "request_rate": run.rate, "repetition": run.repetition}
    return {
        **conditions,
        "num_prompts": len(run.ran.answers),
        "failures": dict(run.ran.reasons),
        "engine_idle": run.idle,
        **run.summary,
    }


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    return origin.versions(("soonest", "aiohttp", "numpy"))


def machine() -> dict[str, object]:
    """The processor's name and how many cores we may use."""
    return {"cpu": origin.processor(), "cores": origin.cores(), "system": platform.system()}


def _lines(rows: Iterable[tuple[str, str, str]], summary: Summary) -> Iterator[str]:
    for label, key, form in rows:
        if (value := summary.get(key)) is not None:
            yield f"{label:<40} {value:<10{form}}".rstrip()

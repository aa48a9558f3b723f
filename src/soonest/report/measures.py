"""What is measured, one function a measure, each with its formula, unit and source.

Latencies are taken over finished requests: an answer that never came has none, so read them beside `failed`. A measure
that nothing defines, such as a rate over no time, is `nan`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import SoonestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soonest.core import Records


def jct(records: Records) -> NDArray[np.float64]:
    """Job completion time of each finished request, from arrival to last token; vLLM calls it E2EL.

    Formula: finished - arrival. Unit: s. Source: SSJF (arXiv:2404.08509); vLLM bench, E2EL.
    """
    done = records.done
    return records.finished[done] - records.arrival[done]


def ttft(records: Records) -> NDArray[np.float64]:
    """Time to the first token that the client keeps, of each finished request that has one.

    Formula: first_token - arrival. Unit: s. Source: vLLM bench, TTFT.
    """
    spoke = _spoke(records)
    return records.first_token[spoke] - records.arrival[spoke]


def tpot(records: Records) -> NDArray[np.float64]:
    """Time per output token after the first, of each finished request with at least two.

    Formula: (jct - ttft) / (output_tokens - 1). Unit: s/token. Source: vLLM bench, TPOT.
    """
    long = _spoke(records) & (records.output_tokens >= 2)
    return (records.finished[long] - records.first_token[long]) / (records.output_tokens[long] - 1)


def queueing(records: Records) -> NDArray[np.float64]:
    """Wait of each finished request until it was first admitted; waiting after an eviction is not in it.

    Formula: admitted - arrival. Unit: s. Source: vLLM metrics, request queue time.
    """
    done = records.done
    return records.admitted[done] - records.arrival[done]


def max_wait(records: Records) -> float:
    """The longest wait of any admitted request, finished or not: what starvation looks like.

    Formula: max(admitted - arrival). Unit: s. Source: soonest.
    """
    waits = records.admitted - records.arrival
    waits = waits[np.isfinite(waits)]
    return float(waits.max()) if len(waits) else math.nan


def slowdown(records: Records, service: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many times longer each finished request took than it would have taken alone.

    `service` holds, for every record and in the same order, the seconds that the request needs on an idle engine.

    Formula: jct / service. Unit: ratio. Source: queueing theory (slowdown, or stretch).

    Raises:
        SoonestError: a service time is missing or not positive.
    """
    if len(service) != len(records):
        raise SoonestError(f"slowdown needs one service time a record: got {len(service)} for {len(records)} records")
    alone = service[records.done]
    if not (alone > 0).all():
        raise SoonestError("slowdown needs service times above 0 s: leave out requests that need no service")
    return jct(records) / alone


def duration(records: Records) -> float:
    """How long the run took.

    Formula: last finished - first arrival. Unit: s. Source: vLLM bench, duration.
    """
    ends = records.finished[records.done]
    return float(ends.max() - records.arrival.min()) if len(ends) else math.nan


def completed(records: Records) -> int:
    """Requests that finished.

    Formula: count(finished). Unit: requests. Source: vLLM bench, completed.
    """
    return int(records.done.sum())


def failed(records: Records) -> int:
    """Requests that were rejected, cancelled, aborted or failed: they are in no latency.

    Formula: count(not finished). Unit: requests. Source: vLLM bench, failed.
    """
    return len(records) - completed(records)


def total_input(records: Records) -> int:
    """Prompt tokens of finished requests.

    Formula: sum(prompt_tokens). Unit: tokens. Source: vLLM bench, total_input_tokens.
    """
    return int(records.prompt_tokens[records.done].sum())


def total_output(records: Records) -> int:
    """Output tokens of finished requests.

    Formula: sum(output_tokens). Unit: tokens. Source: vLLM bench, total_output_tokens.
    """
    return int(records.output_tokens[records.done].sum())


def request_throughput(records: Records) -> float:
    """Sustained throughput. While the engine is never idle, order alone hardly moves it.

    Formula: completed / duration. Unit: requests/s. Source: vLLM bench, request_throughput.
    """
    return _rate(completed(records), duration(records))


def output_throughput(records: Records) -> float:
    """Sustained throughput in output tokens.

    Formula: total_output / duration. Unit: tokens/s. Source: vLLM bench, output_throughput.
    """
    return _rate(total_output(records), duration(records))


def total_token_throughput(records: Records) -> float:
    """Sustained throughput in prompt and output tokens.

    Formula: (total_input + total_output) / duration. Unit: tokens/s. Source: vLLM bench, total_token_throughput.
    """
    return _rate(total_input(records) + total_output(records), duration(records))


def quarter_throughput(records: Records) -> float:
    """25 %-completion throughput: the rate up to the moment when a quarter of all jobs is done.

    It flatters reordering: serving the short ones first brings that moment forward and leaves the long ones to the
    three quarters that it never looks at. Read `request_throughput` for what an engine sustains.

    Formula: jobs done at t / (t - first arrival), t = when a quarter of all jobs is done. Unit: requests/s.
    Source: SSJF (arXiv:2404.08509), its authors' code.
    """
    ends = np.sort(records.finished[records.done])
    quarter = math.ceil(len(records) / 4)
    if not 0 < quarter <= len(ends):
        return math.nan
    moment = ends[quarter - 1]
    return _rate(int(np.searchsorted(ends, moment, side="right")), float(moment - records.arrival.min()))


def goodput(
    records: Records, ttft_ms: float | None = None, tpot_ms: float | None = None, e2el_ms: float | None = None
) -> float:
    """Finished requests that meet every stated limit, a second. An answer of one token has a TPOT of 0.

    Formula: count(ttft <= a and tpot <= b and e2el <= c) / duration. Unit: requests/s. Source: vLLM bench,
    request_goodput.

    Raises:
        SoonestError: no limit is stated, or one is not positive.
    """
    stated = [limit for limit in (ttft_ms, tpot_ms, e2el_ms) if limit is not None]
    if not stated or not all(limit > 0 for limit in stated):
        raise SoonestError(f"goodput needs at least one limit (ttft, tpot, e2el), each above 0 ms; got {stated}")
    speaking = records.finished - records.first_token
    per_token = np.where(records.output_tokens >= 2, speaking / np.maximum(records.output_tokens - 1, 1), 0.0)
    good = records.done
    for limit, seconds in (
        (ttft_ms, records.first_token - records.arrival),
        (tpot_ms, per_token),
        (e2el_ms, records.finished - records.arrival),
    ):
        if limit is not None:
            good = good & (seconds <= limit / 1000)
    return _rate(int(good.sum()), duration(records))


def evictions(records: Records) -> int:
    """How often a running request was sent back to the queue.

    Formula: sum(evictions). Unit: evictions. Source: vLLM metrics, preemptions.
    """
    return int(records.evictions.sum())


def preempted(records: Records) -> float:
    """Share of all requests that were evicted at least once.

    Formula: 100 count(evictions > 0) / count(requests). Unit: %. Source: soonest.
    """
    return 100 * float((records.evictions > 0).mean()) if len(records) else math.nan


def tokens_lost(records: Records) -> int:
    """Output tokens thrown away by restarts.

    Formula: sum(tokens_lost). Unit: tokens. Source: soonest.
    """
    return int(records.tokens_lost.sum())


def tokens_recomputed(records: Records) -> int:
    """KV tokens computed again after an eviction.

    Formula: sum(tokens_recomputed). Unit: tokens. Source: soonest.
    """
    return int(records.tokens_recomputed.sum())


def total_latency(records: Records) -> float:
    """Total end-to-end latency of the finished requests: what the theory papers minimise.

    Formula: sum(jct). Unit: s. Source: arXiv:2502.07115 and arXiv:2508.14544.
    """
    return float(jct(records).sum()) if completed(records) else math.nan


def jain(records: Records) -> float:
    """Jain's index over tenants: 1 if all fare alike, 1/n if one of n bears everything.

    x is a tenant's mean JCT, not its slowdown, so tenants with longer answers count as worse off. Tenants without a
    finished request are left out.

    Formula: (sum x)^2 / (n sum x^2), x = mean JCT of a tenant. Unit: index. Source: Jain, Chiu and Hawe, 1984.
    """
    tenants, member = np.unique(records.tenant[records.done], return_inverse=True)
    if not len(tenants):
        return math.nan
    means = np.bincount(member, weights=jct(records)) / np.bincount(member)
    worst = means.max()
    if worst == 0:
        return 1.0
    shares = means / worst  # the index has no scale, and squares of tiny times would vanish
    return float(shares.sum() ** 2 / (len(shares) * (shares**2).sum()))


def _spoke(records: Records) -> NDArray[np.bool_]:
    return records.done & np.isfinite(records.first_token)


def _rate(count: float, seconds: float) -> float:
    return count / seconds if seconds > 0 else math.nan

"""The metrics that are asked for when somebody scrapes: how things stand."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from soonest.gateway.backend import Backend
    from soonest.gateway.gateway import Gateway
    from soonest.gateway.observe import Metrics


def watch(metrics: Metrics, gateway: Gateway) -> None:
    """Let the metrics ask this gateway."""
    metrics.watch("soonest_num_requests_waiting", lambda: counted(gateway, running=False))
    metrics.watch("soonest_num_requests_running", lambda: counted(gateway, running=True))

    def each(name: str, tell: Callable[[Backend], float | None]) -> None:
        def told() -> dict[str, float]:
            numbers = {url: tell(backend) for url, backend in gateway.backends.items()}
            return {url: number for url, number in numbers.items() if number is not None}

        metrics.watch(name, told)

    each("soonest_upstream_up", lambda b: float(b.place.up))
    each("soonest_upstream_breaker_open", lambda b: float(not b.engine.healthy))
    each("soonest_upstream_in_flight", lambda b: b.place.in_flight)
    each("soonest_upstream_in_flight_limit", lambda b: b.place.limit)
    each("soonest_upstream_num_requests_waiting", lambda b: None if b.engine.last is None else b.engine.last.waiting)
    each("soonest_upstream_num_requests_running", lambda b: None if b.engine.last is None else b.engine.last.running)
    each("soonest_upstream_kv_cache_usage_perc", lambda b: None if b.engine.last is None else b.engine.last.usage)
    each("soonest_evictions_total", lambda b: None if b.engine.last is None else b.engine.last.evictions)
    if gateway.restarts is not None:
        metrics.watch("soonest_upstream_restarts_total", gateway.restarts)
    journal = gateway.journal
    if journal is not None:
        metrics.watch("soonest_journal_rows_lost_total", lambda: journal.lost)
        metrics.watch("soonest_journal_rows_queued", lambda: journal.queued)
        metrics.watch("soonest_journal_healthy", lambda: float(journal.healthy))
    savings = gateway.savings
    if savings is not None:
        metrics.watch(
            "soonest_time_saved_seconds",
            lambda: None if savings.saved is None else savings.saved.seconds_a_request,
        )


def counted(gateway: Gateway, *, running: bool) -> Mapping[str, float]:
    """Requests that run, or that wait, by model."""
    held = ((life.prompt.model, life.ticket.place) for life in gateway.lives if life.ticket is not None)
    counts = Counter(gateway.label(model) for model, place in held if (place is not None) is running)
    return counts or {gateway.label(""): 0}

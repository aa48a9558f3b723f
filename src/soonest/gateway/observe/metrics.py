"""What /metrics says, in Prometheus's text format or OpenMetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from soonest.gateway.observe.catalogue import ENGINE, METRICS, MODEL, Kind
from soonest.gateway.observe.series import OTHER, Series, fit
from soonest.gateway.observe.text import OPEN, PLAIN, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client import Metric

    from soonest.gateway.observe.series import Histogram

    Told = float | Mapping[str, float] | None
    """A number; one for each model or engine; or nothing, and the metric is absent."""

MOST_MODELS = 16
HISTOGRAMS: Mapping[str, Callable[[Series], Histogram]] = {
    "soonest_request_queue_time_seconds": lambda s: s.queue_time,
    "soonest_time_to_first_token_seconds": lambda s: s.time_to_first_token,
    "soonest_inter_token_latency_seconds": lambda s: s.inter_token_latency,
    "soonest_request_time_per_output_token_seconds": lambda s: s.time_per_output_token,
    "soonest_e2e_request_latency_seconds": lambda s: s.e2e_latency,
    "soonest_request_prompt_tokens": lambda s: s.prompt_tokens,
    "soonest_request_generation_tokens": lambda s: s.generation_tokens,
    "soonest_request_overtakes": lambda s: s.overtakes,
    "soonest_forecast_seconds": lambda s: s.forecast_seconds,
    "soonest_forecast_error_tokens": lambda s: s.forecast_error,
    "soonest_prompt_estimate_error_ratio": lambda s: s.prompt_error,
}
NUMBERS: Mapping[str, Callable[[Series], float | Mapping[str, int] | None]] = {
    "soonest_request_success_total": lambda s: s.success.counts,
    "soonest_admission_rejections_total": lambda s: s.rejections.counts,
    "soonest_forecast_fallbacks_total": lambda s: s.fallbacks.counts,
    "soonest_forecast_coverage_ratio": lambda s: s.coverage.ratio,
    "soonest_forecast_promised_ratio": lambda s: s.coverage.promised,
    "soonest_forecast_promises_total": lambda s: s.coverage.answers,
    "soonest_upstream_retries_total": lambda s: s.retries,
}
"""A mapping is by the third label, the reason."""


class Metrics(Collector):
    """All metrics of one gateway.

    `of(model)` gives what a request's events are told to. At most `most_models` names have metrics of their own, the
    first ones asked for; ask for the served models at the start, and names that clients invent become `other`.
    """

    def __init__(self, policy: str, *, version: str = "", mode: str = "", most_models: int = MOST_MODELS) -> None:
        self._policy = policy
        self._info = (version, policy, mode)
        self._most = most_models
        self._series: dict[str, Series] = {}
        self._watched: dict[str, Callable[[], Told]] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def of(self, model: str) -> Series:
        """The metrics of this model."""
        return self._series.get(model) or self._begin(model)

    def all(self) -> list[Series]:
        """The metrics of every model that has any."""
        return list(self._series.values())

    def watch(self, name: str, tell: Callable[[], Told]) -> None:
        """Ask `tell` for this metric at every scrape: one number, or one for each model or engine."""
        if not METRICS[name].watched:
            raise ValueError(f"{name} counts events; tell them to `of(model)`")
        self._watched[name] = tell

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The text of a scrape and its content type, as the Accept header asks for."""
        open_metrics = "application/openmetrics-text" in accept
        return text(self.registry.collect(), open_metrics=open_metrics), OPEN if open_metrics else PLAIN

    def collect(self) -> Iterator[Metric]:
        """Every metric in the catalogue's order; what prometheus_client asks for."""
        series = dict(self._series)
        for name, meaning in METRICS.items():
            if meaning.kind is Kind.HISTOGRAM:
                yield self._histogram(name, series)
            elif meaning.watched:
                if (told := self._told(name)) is not None:
                    yield self._family(name, told)
            elif name in NUMBERS:
                yield self._family(name, self._counted(name, series))
            else:
                yield self._family(name, {self._info: 1})

    def describe(self) -> list[Metric]:
        """Nothing: what is watched may be absent."""
        return []

    def _begin(self, model: str) -> Series:
        taken = len(self._series) - (OTHER in self._series)
        name = model if taken < self._most and fit(model) else OTHER
        if name not in self._series:
            self._series[name] = Series()
        return self._series[name]

    def _histogram(self, name: str, series: Mapping[str, Series]) -> Metric:
        family = HistogramMetricFamily(name, METRICS[name].doc, labels=MODEL)
        for model, one in series.items():
            histogram = HISTOGRAMS[name](one)
            family.add_metric((model, self._policy), histogram.buckets(), histogram.total)
        return family

    def _counted(self, name: str, series: Mapping[str, Series]) -> dict[tuple[str, ...], float]:
        rows: dict[tuple[str, ...], float] = {}
        for model, one in series.items():
            number = NUMBERS[name](one)
            if isinstance(number, int | float):
                rows[model, self._policy] = number
            elif number is not None:
                rows |= {(model, self._policy, reason): count for reason, count in list(number.items())}
        return rows

    def _told(self, name: str) -> dict[tuple[str, ...], float] | None:
        tell = self._watched.get(name)
        told = None if tell is None else tell()
        if told is None:
            return None
        labels = METRICS[name].labels
        if isinstance(told, int | float):
            return {("", self._policy) if labels == MODEL else (): told}
        rows: dict[tuple[str, ...], float] = {}
        for label, number in told.items():
            row = (plain(label),) if labels == ENGINE else (label if label in self._series else OTHER, self._policy)
            rows[row] = rows.get(row, 0) + number
        return rows

    def _family(self, name: str, rows: Mapping[tuple[str, ...], float]) -> Metric:
        meaning = METRICS[name]
        kind = CounterMetricFamily if meaning.kind is Kind.COUNTER else GaugeMetricFamily
        family = kind(name, meaning.doc, labels=meaning.labels)
        for labels, number in rows.items():
            family.add_metric(labels, number)
        return family


def plain(url: str) -> str:
    """An engine's address as a label may show it: without a user's name and password, and what is asked of it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else url

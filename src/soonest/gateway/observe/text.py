"""Metrics as text, in Prometheus's format or OpenMetrics.

prometheus_client writes both, several times more slowly; the event loop waits meanwhile.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def text(families: Iterable[Metric], *, open_metrics: bool) -> bytes:
    """Counters, gauges and histograms; OpenMetrics calls a counter by its name without `_total`."""
    out: list[str] = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" and not open_metrics else family.name
        doc = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
        out.append(f"# HELP {name} {doc}\n# TYPE {name} {family.type}\n")
        for sample in family.samples:
            labels = ",".join([f'{label}="{_escaped(value)}"' for label, value in sample.labels.items()])
            number = _written(float(sample.value))
            out.append(f"{sample.name}{{{labels}}} {number}\n" if labels else f"{sample.name} {number}\n")
    if open_metrics:
        out.append("# EOF\n")
    return "".join(out).encode()


def _written(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escaped(value: str) -> str:
    if value.isalnum():
        return value
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

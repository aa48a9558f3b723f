"""The schedulers' counters at vLLM's own `/metrics`."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily

from soonest.engines.vllm.metrics import COUNTERS, boards_of, sweep

if TYPE_CHECKING:
    from collections.abc import Iterable


class Boards:
    """What the schedulers of this front end have counted, for vLLM's `/metrics`."""

    def __init__(self) -> None:
        atexit.register(sweep, os.getpid())

    def collect(self) -> Iterable[CounterMetricFamily]:
        """One counter a name, one sample a scheduler."""
        boards = list(boards_of(os.getpid()))
        for name, text in COUNTERS.items():
            family = CounterMetricFamily(f"soonest_vllm_{name}", text, labels=["engine"])
            for rank, values in boards:
                family.add_metric([rank], values[name])
            yield family

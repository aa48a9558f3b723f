"""Forecasts that are made, and learned from, while a simulation runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.core import Forecast


class Forecaster(Protocol):
    """What a simulation asks for each job's forecast when the job arrives, and tells when its answer ends.

    Jobs are row numbers of the workload. It is told nothing sooner than a gateway would be.
    """

    latency: float
    """Seconds that a forecast takes: a job joins the queue so much after it arrives."""

    def asked(self, job: int) -> Forecast:
        """The forecast of a job that has just arrived."""

    def ended(self, job: int, tokens: int, censored: bool) -> None:  # noqa: FBT001 - the answer's kind
        """The job's answer ended after `tokens`, or was cut there."""

    def running(self, generated: Mapping[int, int]) -> None:
        """Tokens generated so far by each job that runs; heard now and then."""

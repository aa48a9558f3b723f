"""Flags of `soonest bench` that contradict each other or mean nothing: refused before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_targets(
    url: str | None, model: str | None, engine: str | None, compare: list[str], rate: float | None, loads: list[float]
) -> None:
    """Refuse targets and speeds that contradict each other.

    Raises:
        SimulationError: which, and what to do.
    """
    from soonest.core import SimulationError
    from soonest.core.errors import without_password

    if url is not None and (compare or engine is not None or model is not None):
        raise SimulationError(
            "--url measures what listens there, and --compare puts gateways of its own before an engine: "
            "give --engine URL instead of --url"
        )
    if engine is not None and model is not None:
        raise SimulationError("give a MODEL to start, or an --engine that runs")
    if rate is not None and loads:
        raise SimulationError("give one of --request-rate and --load")
    for name, address in (("--url", url), ("--engine", engine)):
        if address is not None and not address.startswith(("http://", "https://")):
            raise SimulationError(
                f"{name} {without_password(address)} is no URL: give one such as http://127.0.0.1:8000"
            )
    for speed in (*loads, *(() if rate is None else (rate,))):
        if not speed > 0:
            raise SimulationError(f"a load or rate must be positive, got {speed:g}")


def check_flags(url: str | None, engine: str | None, given: Mapping[str, object]) -> None:
    """Refuse flags of what is not started; `given` holds them by name, empty where not set.

    Raises:
        SimulationError: which, and what to do.
    """
    from soonest.core import SimulationError

    for flag, value in given.items():
        if value and url is not None:
            raise SimulationError(f"{flag} is for what --compare starts, and --url starts nothing: leave it out")
    if given["--engine-flags"] and engine is not None:
        raise SimulationError("--engine-flags is for an engine that is started: leave out --engine, or it")


def check_burstiness(burstiness: float | None, arrivals: str) -> None:
    """Refuse a burstiness that no arrival has.

    Raises:
        SimulationError: what to do.
    """
    from soonest.core import SimulationError

    if burstiness is not None and arrivals != "gamma":
        raise SimulationError(
            f"--burstiness is that of gamma arrivals, and these are {arrivals}: "
            "give --arrivals gamma with a --request-rate or --load, or leave it out"
        )

"""What an operator may say to the scheduler: environment variables, or `--additional-config`."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from soonest.core import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "SOONEST_VLLM_"
KEY = "soonest"
KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT)|PORT)(_|$)")
"""What Kubernetes sets in every container beside a service named soonest-vllm."""


@dataclass(frozen=True, slots=True)
class Options:
    """The scheduler's options; `--additional-config '{"soonest": {"policy": ...}}'` wins over `SOONEST_VLLM_POLICY`.

    Attributes:
        policy: words such as `aging(shortest, rate=5)`.
        overdue_after: seconds after which a waiting request enters the overdue lane; `None`: never.
        overdue_every: that lane gets at most one admission in so many.
        predictor: folder of a predictor, for the front end; empty: none.
        forecast_budget: seconds that a forecast may take before the request goes on without.
        watermark: share of the KV blocks that admission leaves free; `None`: vLLM's own `--watermark`.

    Raises:
        PolicyError: an option is unknown, or its value is none.
    """

    policy: str = "shortest"
    overdue_after: float | None = None
    overdue_every: int = 8
    predictor: str = ""
    forecast_budget: float = 0.05
    watermark: float | None = None

    def __post_init__(self) -> None:
        if self.overdue_after is not None and not 0 <= self.overdue_after < math.inf:
            raise PolicyError(f"overdue_after must be seconds >= 0, got {self.overdue_after}")
        if self.overdue_every < 1:
            raise PolicyError(f"overdue_every must be at least 1 (one admission in so many), got {self.overdue_every}")
        if not 0 < self.forecast_budget < math.inf:
            raise PolicyError(f"forecast_budget must be seconds > 0, got {self.forecast_budget}")
        if self.watermark is not None and not 0 <= self.watermark < 1:
            raise PolicyError(f"watermark is a share in [0, 1), got {self.watermark}")

    @classmethod
    def read(cls, additional: object, environment: Mapping[str, str] | None = None) -> Self:
        """From the environment, and from vLLM's additional configuration, which wins."""
        environment = os.environ if environment is None else environment
        found: dict[str, object] = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(PREFIX) and not KUBERNETES.match(name.removeprefix(PREFIX))
        }
        ours = additional.get(KEY, {}) if isinstance(additional, dict) else {}
        if not isinstance(ours, dict):
            raise PolicyError(f"--additional-config: {KEY!r} must hold an object of options, got {ours!r}")
        return cls(**{name: _value(name, value) for name, value in {**found, **ours}.items()})  # type: ignore[arg-type]


KINDS = {
    "policy": str,
    "overdue_after": float,
    "overdue_every": int,
    "predictor": str,
    "forecast_budget": float,
    "watermark": float,
}
OPTIONAL = {"overdue_after", "watermark"}


def _value(name: str, value: object) -> object:
    if name not in KINDS:
        known = ", ".join(f"{PREFIX}{field.name.upper()}" for field in fields(Options))
        raise PolicyError(f"no option {name!r}; known: {known}, or the same words under {KEY!r} in --additional-config")
    if name in OPTIONAL and value in ("", None):
        return None
    kind = KINDS[name]
    wrong = PolicyError(f"option {name!r} takes a value of type {kind.__name__}, got {value!r}")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise wrong
    try:
        found = kind(value)
    except (ValueError, OverflowError):
        raise wrong from None
    if found != value and not isinstance(value, str):
        raise wrong  # 2.5 is no count, and 5 no policy
    return found

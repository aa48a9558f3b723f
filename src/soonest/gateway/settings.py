"""What an operator decides about a gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from soonest.core import PolicyError
from soonest.core.errors import SoonestError, without_password
from soonest.core.policy import reserves_estimate

if TYPE_CHECKING:
    from soonest.core import Policy

Mode = Literal["gate", "priority"]


class SettingsError(SoonestError):
    """Settings that contradict each other, or that no gateway can have."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of one gateway; times in seconds, sizes in bytes.

    Attributes:
        engines: base URLs of engines that serve the same model.
        policy: who goes first.
        mode: `gate` holds the queue; `priority` forwards at once and writes the engine's priority field.
        in_flight: choices in flight at each engine; `None` learns it from the engine's metrics.
        overdue_after: seconds after which a waiting request enters the overdue lane; `None`: never.
        overdue_every: that lane gets at most one admission in so many.
        most_waiting: requests beyond this many are told to come back later.
        longest_wait: a request that waits longer for its turn is given up.
        forecast_budget: what a forecast may take before the request goes on without.
        body_limit: longest body.
        client_timeout: for a client to send its body, and to take a part of an answer.
        connect_timeout: for an engine to take a connection.
        silence_timeout: for an engine to say something; `None`: it may be silent for ever.
        drain_timeout: after a signal to stop, running answers get so long.
        tokenize: ask the engine to count prompt tokens where the policy reserves memory.
        hints: tell engines the forecast, in the field that their dialect has for it.
        journal_prompts: keep request bodies in the journal.
        ui: show the live page at /ui.
    """

    engines: tuple[str, ...]
    policy: str = "response_ratio(shortest)"
    mode: Mode = "gate"
    in_flight: int | None = None
    overdue_after: float | None = None
    overdue_every: int = 8
    most_waiting: int = 10_000
    longest_wait: float = 600.0
    forecast_budget: float = 0.05
    body_limit: int = 16 << 20
    client_timeout: float = 60.0
    connect_timeout: float = 5.0
    silence_timeout: float | None = None
    drain_timeout: float = 600.0
    tokenize: bool = True
    hints: bool = True
    journal_prompts: bool = False
    ui: bool = False

    def __post_init__(self) -> None:
        if not self.engines:
            raise SettingsError("a gateway needs an engine: give --engine URL, or a model to start one with")
        for url in self.engines:
            if not _is_url(url):
                raise SettingsError(f"an engine is a URL such as http://127.0.0.1:8000, got {without_password(url)!r}")
            if "@" in urlsplit(url).netloc:
                raise SettingsError("an engine's URL holds no user and password: set SOONEST_SERVE_ENGINE_KEY instead")
        if self.in_flight is not None and self.in_flight < 1:
            raise SettingsError(f"--in-flight must be at least 1, got {self.in_flight}")
        if self.mode == "priority" and self.in_flight is not None:
            raise SettingsError("--mode priority forwards at once: it has no --in-flight")
        silence = {} if self.silence_timeout is None else {"--silence-timeout": self.silence_timeout}
        times = {
            "--max-wait": self.longest_wait,
            "--forecast-budget": self.forecast_budget,
            "--client-timeout": self.client_timeout,
            "--connect-timeout": self.connect_timeout,
            "--drain-timeout": self.drain_timeout,
            **silence,
        }
        for flag, seconds in times.items():
            if not seconds > 0:
                raise SettingsError(f"{flag} must be seconds above 0, got {seconds}")
        if self.most_waiting < 1 or self.body_limit < 1:
            raise SettingsError("--max-waiting and --body-limit must be at least 1")


def _is_url(url: str) -> bool:
    """Whether it is one of HTTP, with a host, and no port that cannot be."""
    try:
        parts = urlsplit(url)
        return url.startswith(("http://", "https://")) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check(settings: Settings, policy: Policy) -> None:
    """Refuse a policy that the mode is nothing for.

    Raises:
        PolicyError: an engine's priority field cannot say what the policy asks for.
    """
    if settings.mode == "gate":
        return
    if reserves_estimate(policy):
        raise PolicyError(
            f"policy {policy.name!r} reserves memory, which an engine's priority field cannot say: use --mode gate"
        )
    if not static(policy):
        raise PolicyError(
            f"policy {policy.name!r} reorders while requests wait, which an engine's priority field cannot say: "
            "use --mode gate, or a policy such as shortest"
        )


def static(policy: Policy) -> bool:
    """Whether its order never changes while requests wait: all ranks move alike."""
    numbers = policy.numbers
    return numbers is not None and all(row.ratio == 0 and row.age == numbers[0].age for row in numbers)

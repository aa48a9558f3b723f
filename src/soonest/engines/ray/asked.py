"""What a request says of itself on its way to a replica: its prompt, and the forecast that it brings along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from soonest.core import Forecast, ForecastError, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMBERS: Final = (
    "messages", "prompt", "model", "max_tokens", "max_completion_tokens", "min_tokens", "temperature", "vllm_xargs",
)  # fmt: skip
"""What is read of a body in OpenAI's words."""
FIELD: Final = "vllm_xargs"
HINT: Final = "soonest_forecast"


class Asked:
    """The first argument of a call: a body in OpenAI's words, as a mapping or an object, or a text.

    Anything else, such as an HTTP request whose body the router does not see, says nothing.
    """

    def __init__(self, arguments: Sequence[Any]) -> None:
        self.first = arguments[0] if arguments else None
        self.body = _body(self.first)

    @property
    def prompt(self) -> Prompt | None:
        """What is asked; `None` where nothing is known of it."""
        if isinstance(self.first, str):
            return Prompt.of(self.first)
        return None if self.body is None else Prompt.from_body(self.body)

    @property
    def hint(self) -> Forecast | None:
        """The forecast under `vllm_xargs.soonest_forecast`, three numbers; `None` where there is none, or it is odd."""
        extra = None if self.body is None else self.body.get(FIELD)
        given = extra.get(HINT) if isinstance(extra, Mapping) else None
        try:
            return None if given is None else Forecast.told(given)
        except ForecastError:
            return None

    def told(self, forecast: Forecast) -> Any:
        """The argument with this forecast in it, where it has a place for one; the caller's own stays as it is."""
        if self.body is None:
            return self.first
        extra = self.body.get(FIELD)
        said = {**(extra if isinstance(extra, Mapping) else {}), HINT: [forecast.low, _mean(forecast), forecast.high]}
        if isinstance(self.first, Mapping):
            return {**self.first, FIELD: said}
        first: Any = self.first
        if hasattr(first, FIELD) and hasattr(first, "model_copy"):
            return first.model_copy(update={FIELD: said})
        return first


def _body(first: object) -> Mapping[str, Any] | None:
    if isinstance(first, Mapping):
        found: dict[str, Any] = dict(first)
    else:
        found = {name: getattr(first, name) for name in MEMBERS if hasattr(first, name)}
        found["messages"] = _plain(found.get("messages"))
    return found if isinstance(found.get("messages"), list) or isinstance(found.get("prompt"), str) else None


def _plain(messages: object) -> object:
    """Messages as mappings; some libraries make objects of them."""
    if not isinstance(messages, list):
        return None
    return [turn.model_dump() if hasattr(turn, "model_dump") else turn for turn in messages]


def _mean(forecast: Forecast) -> float:
    """Within the interval, as whoever reads the three numbers needs it."""
    return min(max(forecast.expected, forecast.low), forecast.high)

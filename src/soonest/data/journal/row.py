"""One request of a journal: when what happened to it, what was forecast, and how long its answer was."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from soonest.core import Forecast, ForecastError, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAN: Final = math.nan
LARGEST: Final = (1 << 63) - 1
UNFINISHED: Final = "unfinished"
"""The outcome of a row that was accepted and has no end: still running, or lost with its gateway."""


class Row(NamedTuple):
    """What a journal keeps of one request; a tuple, because a gateway makes two of them a request.

    Times are UNIX seconds, `nan` where nothing happened. `output_tokens` counts all `choices` together. `low`,
    `expected` and `high` are the forecast in tokens; its `coverage` is `None` where nothing is promised. `outcome` is
    one of `Outcome`'s, or `UNFINISHED`; `finish_reason` is the engine's. `forecast_seconds` is what the forecast took.
    `prompt` is the request's body as JSON where prompts are kept. `run` numbers the gateway's runs; readers fill it in.
    """

    id: str
    arrival: float
    admitted: float = NAN
    first_token: float = NAN
    finished: float = NAN
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    max_tokens: int = 0
    low: float = NAN
    expected: float = NAN
    high: float = NAN
    coverage: float | None = None
    known: bool = False
    policy: str = ""
    tenant: str = ""
    model: str = ""
    priority: int = 0
    engine: str = ""
    outcome: str = UNFINISHED
    finish_reason: str = ""
    choices: int = 1
    forecast_seconds: float = NAN
    prompt: str | None = None
    run: int = 0

    @property
    def done(self) -> bool:
        """Whether it ended with an answer."""
        return self.outcome == Outcome.FINISHED and self.output_tokens >= 1 and self.finished >= self.arrival

    @property
    def censored(self) -> bool:
        """Whether its answer would have gone on: a limit ended it, or the client left."""
        return self.finish_reason == "length" or self.outcome != Outcome.FINISHED

    def forecast(self) -> Forecast:
        """The forecast that was made, as far as three numbers tell it; unknown where they say nothing.

        A mean may lie outside the interval that is promised, where the law is skewed.
        """
        limit = max(1, min(self.max_tokens or 1 << 20, 1 << 20))
        if not self.known:
            return Forecast.unknown(limit)
        try:
            law = Forecast.hint(min(self.low, self.expected), self.expected, max(self.high, self.expected))
            return replace(law, low=int(self.low), high=int(self.high), coverage=self.coverage)
        except (ForecastError, ValueError, OverflowError):
            return Forecast.unknown(limit)


COLUMNS: Final = Row._fields[:-1]
"""What is stored of a row, in this order; `run` is stored beside it."""
REALS: Final = frozenset(
    {"arrival", "admitted", "first_token", "finished", "low", "expected", "high", "coverage", "forecast_seconds"}
)
TEXTS: Final = frozenset(name for name, default in Row._field_defaults.items() if isinstance(default, str)) | {"id"}
_KINDS: Final = tuple("r" if n in REALS else "t" if n in TEXTS or n == "prompt" else "i" for n in COLUMNS)


def stored(row: Row) -> tuple[object, ...]:
    """A row as any database takes it, in the order of `COLUMNS`.

    What is not a number is null, as is the outcome of an unfinished row. A whole number of more than 63 bits is the
    largest of 63, and what no database holds as text (half of a surrogate pair, a null character) becomes U+FFFD.
    """
    found = [_PUT[kind](value) for kind, value in zip(_KINDS, row, strict=False)]
    if row.outcome == UNFINISHED:
        found[_OUTCOME] = None
    return tuple(found)


def restored(values: Sequence[object], run: int) -> Row:
    """The row that these columns hold.

    Raises:
        ValueError, TypeError: a value is not of its column's kind.
    """
    made = Row._make([*(_TAKE[kind](value) for kind, value in zip(_KINDS, values, strict=True)), int(run)])
    coverage = None if math.isnan(made.coverage or 0.0) else made.coverage
    text = values[_PROMPT]
    return made._replace(
        known=bool(made.known),
        coverage=coverage,
        outcome=made.outcome or UNFINISHED,
        prompt=None if text is None else str(text),
    )


_OUTCOME: Final = COLUMNS.index("outcome")
_PROMPT: Final = COLUMNS.index("prompt")


def _real(value: object) -> object:
    number = None if value is None else float(value)  # type: ignore[arg-type]
    return None if number is None or math.isnan(number) else number


def _whole(value: object) -> object:
    return max(-LARGEST, min(int(value), LARGEST))  # type: ignore[call-overload]


def _text(value: object) -> object:
    if value is None or (isinstance(value, str) and value.isascii() and "\0" not in value):
        return value
    text = str(value).replace("\0", "�")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_PUT: Final = {"r": _real, "i": _whole, "t": _text}
_TAKE: Final[dict[str, Callable[[Any], object]]] = {
    "r": lambda value: NAN if value is None else float(value),
    "i": lambda value: 0 if value is None else int(value),
    "t": lambda value: "" if value is None else str(value),
}

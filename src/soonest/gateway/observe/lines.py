"""One line for each finished request, and how lines are written: JSON, or for people."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import traceback
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO
from zlib import crc32

from soonest.core import SoonestError

if TYPE_CHECKING:
    from soonest.core import Forecast, Record

LOGGER = "soonest.gateway"
LONGEST_WORD = 128
FACTS = "facts"
"""The attribute of a log record that holds what a line knows beside its message."""
NUMBERS = (int, float)
SIMPLE = re.compile(r"[!#-<>-\[\]-~]+")
"""Printable ASCII without blanks, quotes, = and the backslash."""
ENCODE = json.JSONEncoder(default=str).encode
log = logging.getLogger(LOGGER)


@dataclass(frozen=True, slots=True)
class Finished:
    """What one line says of a request. Times are milliseconds from its arrival; None is not known."""

    id: str
    tenant: str
    model: str
    engine: str
    outcome: str
    finish_reason: str | None
    status: int
    queue_ms: float | None
    ttft_ms: float | None
    e2e_ms: float | None
    prompt_tokens: int
    output_tokens: int
    forecast_low: int | None = None
    forecast_expected: float | None = None
    forecast_high: int | None = None

    @classmethod
    def of(
        cls,
        record: Record,
        *,
        model: str,
        engine: str,
        status: int,
        finish_reason: str | None = None,
        forecast: Forecast | None = None,
    ) -> Finished:
        """A record in words. An unknown forecast is none."""
        told = None if forecast is None or not forecast.known else forecast
        return cls(
            id=_word(record.id),
            tenant=_word(record.tenant),
            model=_word(model),
            engine=engine,
            outcome=record.outcome.value,
            finish_reason=None if finish_reason is None else _word(finish_reason),
            status=status,
            queue_ms=_ms(record.admitted - record.arrival),
            ttft_ms=_ms(record.first_token - record.arrival),
            e2e_ms=_ms(record.finished - record.arrival),
            prompt_tokens=record.prompt_tokens,
            output_tokens=record.output_tokens,
            forecast_low=None if told is None else told.low,
            forecast_expected=None if told is None else round(told.expected, 1),
            forecast_high=None if told is None else told.high,
        )


NAMES = tuple(field.name for field in fields(Finished))


class RequestLog:
    """Writes the line of a finished request, for a `share` of them; those that failed are always written.

    The share is by the request's id, so that whoever logs the same share of ids elsewhere logs the same requests.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._below = math.ceil(min(max(share, 0.0), 1.0) * (1 << 32))

    def wants(self, request_id: str, *, failed: bool = False) -> bool:
        """Whether a line would be written: ask before making one."""
        if not log.isEnabledFor(logging.INFO):
            return False
        return failed or crc32(request_id.encode("utf-8", "surrogatepass")) < self._below

    def write(self, line: Finished) -> None:
        """Write it; the formatter chooses how."""
        record = logging.LogRecord(LOGGER, logging.INFO, __file__, 0, "request", None, None)
        setattr(record, FACTS, {name: getattr(line, name) for name in NAMES})
        log.handle(record)  # `log.info` would look for who calls it, which costs as much again


class JsonLines(logging.Formatter):
    """Each line one JSON object: time (UTC), level, logger, message, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        said: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FACTS, {}),
            **_error(record),
        }
        return ENCODE(said)


class PlainLines(logging.Formatter):
    """Each line a time, a level, a message and `name=value` for what is known."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        facts = {**getattr(record, FACTS, {}), **_error(record)}
        words = [f"{name}={_shown(value)}" for name, value in facts.items() if value is not None]
        message = record.getMessage()
        said = message if message.isprintable() else json.dumps(message)
        return " ".join([_time(record), record.levelname, said, *words])


def write_lines(level: str = "info", *, as_json: bool = False, stream: TextIO | None = None) -> logging.Handler:
    """Let the gateway's log go to stderr, or to `stream`, and nowhere else. Returns the handler."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines() if as_json else PlainLines())
    log.handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False
    return handler


def _error(record: logging.LogRecord) -> dict[str, object]:
    """What was raised and where. Messages of errors that are not ours may quote a prompt, so they are left out."""
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    error = record.exc_info[1]
    frames = traceback.extract_tb(error.__traceback__)
    told = str(error) if isinstance(error, SoonestError) else getattr(error, "strerror", None)
    said = {"error": type(error).__name__, "error_message": told}
    return said | {"where": " < ".join(f"{f.filename}:{f.lineno} {f.name}" for f in reversed(frames))}


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.created % 1 * 1000):03d}Z"


@lru_cache(4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "")


def _ms(seconds: float) -> float | None:
    return None if math.isnan(seconds) else round(seconds * 1000, 3)


def _word(text: str) -> str:
    """What a client chose, no longer than a line bears."""
    return text if len(text) <= LONGEST_WORD else f"{text[:LONGEST_WORD]}..."


def _shown(value: object) -> str:
    """A value as it is, or in quotes where it would look like something else."""
    text = str(value)
    return text if type(value) in NUMBERS or SIMPLE.fullmatch(text) else json.dumps(text)

"""One line for each finished request, and how lines are written: JSON, or for people."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TextIO
from zlib import crc32

from soonest.core import SoonestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from soonest.core import Forecast, Record

LOGGER = "soonest.gateway"
LONGEST_WORD = 128
MOST_A_SECOND = 100
WHOLE = 1 << 32
NUMBERS = (int, float)
SIMPLE = re.compile(r"[!#-<>-\[\]-~]+")
"""Printable ASCII without blanks, quotes, = and the backslash."""
ENCODE = json.JSONEncoder(default=str).encode
log = logging.getLogger(LOGGER)


class Finished(NamedTuple):
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


class RequestLog:
    """Writes the line of a finished request, for a `share` of them; those that failed are always written.

    The share is by the request's id, so that whoever logs the same share of ids elsewhere logs the same requests. Of
    those that went well, at most `most` a second get a line, and one line says how many got none.
    """

    def __init__(
        self, share: float = 1.0, most: int = MOST_A_SECOND, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._below = math.ceil(min(max(share, 0.0), 1.0) * WHOLE)
        self._most, self._now = most, now
        self._second = self._written = self._left_out = 0

    def wants(self, request_id: str, *, failed: bool = False) -> bool:
        """Whether a line is to be written: ask once, before making one."""
        if not log.isEnabledFor(logging.INFO):
            return False
        if failed:
            return True
        if self._below < WHOLE and crc32(request_id.encode("utf-8", "surrogatepass")) >= self._below:
            return False
        self.look()
        if self._written >= self._most:
            self._left_out += 1
            return False
        self._written += 1
        return True

    def look(self) -> None:
        """Begin the next second, if it is time."""
        second = int(self._now())
        if second != self._second:
            self.end()
            self._second = second

    def end(self) -> None:
        """A second is over: say how many lines were left out in it."""
        if self._left_out:
            log.info("%d more requests went well within a second; --log-rate says how many get a line", self._left_out)
        self._written = self._left_out = 0

    def write(self, line: Finished) -> None:
        """Write it where `write_lines` lets lines go: around `logging`, which would cost more than the line."""
        for handler in log.handlers:
            if isinstance(handler, Lines) and log.isEnabledFor(logging.INFO):
                handler.finished(line)


class JsonLines(logging.Formatter):
    """Each line one JSON object: time (UTC), level, logger, message, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        facts = _error(record)
        return self.said(record.created, record.levelname, record.getMessage(), facts)

    def said(self, when: float, level: str, message: str, facts: Mapping[str, object]) -> str:
        """One line."""
        head = {"time": _time(when), "level": level.lower(), "logger": LOGGER, "message": message}
        return ENCODE({**head, **facts})


class PlainLines(logging.Formatter):
    """Each line a time, a level, a message and `name=value` for what is known."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        message = record.getMessage()
        said = message if message.isprintable() else json.dumps(message)
        return self.said(record.created, record.levelname, said, _error(record))

    def said(self, when: float, level: str, message: str, facts: Mapping[str, object]) -> str:
        """One line."""
        words = [f"{name}={_shown(value)}" for name, value in facts.items() if value is not None]
        return " ".join([_time(when), level, message, *words])


class Lines(logging.StreamHandler[TextIO]):
    """Writes what is logged, and lines of finished requests."""

    def __init__(self, lines: JsonLines | PlainLines, stream: TextIO) -> None:
        super().__init__(stream)
        self.lines = lines
        self.setFormatter(lines)

    def finished(self, line: Finished) -> None:
        """Write a request's line; where nothing can be written, a request does not suffer for it."""
        text = self.lines.said(time.time(), "INFO", "request", line._asdict())
        self.acquire()
        try:
            self.stream.write(text + self.terminator)
            self.stream.flush()
        except (OSError, ValueError):  # its reader has gone
            pass
        finally:
            self.release()


def write_lines(level: str = "info", *, as_json: bool = False, stream: TextIO | None = None) -> logging.Handler:
    """Let the gateway's log go to stderr, or to `stream`, and nowhere else. Returns the handler."""
    handler = Lines(JsonLines() if as_json else PlainLines(), sys.stderr if stream is None else stream)
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


def _time(when: float) -> str:
    return f"{_second(int(when))}.{int(when % 1 * 1000):03d}Z"


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
    return repr(value) if type(value) in NUMBERS else _quoted(str(value))


@lru_cache(1024)  # but for ids, the same few words come again and again
def _quoted(text: str) -> str:
    return text if SIMPLE.fullmatch(text) else json.dumps(text)

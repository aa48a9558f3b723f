"""An engine's state as its page of metrics tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.gateway.upstream.dialects import Dialect

LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class EngineState:
    """What an engine says of itself at one moment; none for what it does not say.

    Several schedulers behind one address (data parallel) are added up; `usage` is their mean.
    """

    waiting: int | None = None  # requests
    running: int | None = None  # requests
    usage: float | None = None  # share of the KV cache that is held, 0 to 1
    blocks: int | None = None
    block_size: int | None = None  # tokens
    slots: int | None = None  # most requests that run together
    evictions: int | None = None  # since the engine started


def state_of(text: str, dialect: Dialect) -> EngineState:
    """Read a page in Prometheus' text format."""
    waiting, running, usage = (
        _values(text, names, dialect.part) for names in (dialect.waiting, dialect.running, dialect.usage)
    )
    labels = [dict(LABEL.findall(found)) for found, _ in _samples(text, dialect.cache)]
    blocks = [n for told in labels if (n := _whole(told.get(dialect.blocks)))]
    sizes = [n for told in labels if (n := _whole(told.get(dialect.block_size)))]
    blocks = blocks or [int(n) for n in _values(text, (dialect.blocks_metric,))]
    sizes = sizes or [int(n) for n in _values(text, (dialect.block_size_metric,)) if n >= 1]
    slots = _values(text, (dialect.slots,))
    evictions = _values(text, dialect.evictions)
    return EngineState(
        waiting=int(sum(waiting)) if waiting else None,
        running=int(sum(running)) if running else None,
        usage=sum(usage) / len(usage) if usage else None,
        blocks=sum(blocks) or None,
        block_size=sizes[0] if sizes else None,
        slots=int(sum(slots)) or None,
        evictions=int(sum(evictions)) if evictions else None,
    )


def _values(text: str, names: Sequence[str], part: str = "") -> list[float]:
    """Finite values of the first of the metrics that is there, but for samples that are a part of another's."""
    for name in names:
        found = [
            value
            for labels, written in _samples(text, name)
            if (value := _number(written)) is not None and not (part and dict(LABEL.findall(labels)).get(part))
        ]
        if found:
            return found
    return []


def _samples(text: str, name: str) -> list[tuple[str, str]]:
    """Labels and value of each sample of a metric."""
    return _sample(name).findall(text) if name else []


@lru_cache(64)
def _sample(name: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(name)}(?:\{{(.*)\}})?[ \t]+(\S+)", re.MULTILINE)


def _number(written: str) -> float | None:
    try:
        value = float(written)
    except ValueError:
        return None
    return value if abs(value) < 1e18 else None  # no NaN, no infinity


def _whole(written: str | None) -> int:
    return int(written) if written and written.isdecimal() else 0

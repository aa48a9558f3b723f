"""A policy that never takes the engine down."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, TypeVar

from soonest.core import Policy, Rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from soonest.core import Entry, Request
    from soonest.engines.vllm.metrics import Board

log = logging.getLogger("vllm.soonest")
T = TypeVar("T")
FIRST = Rank(0.0)


class Guard(Policy):
    """Answers as the inner policy does; where that fails, as arrival order would. Failures are counted and logged once.

    `ranks` says whether an entry can be ranked at all: who cannot is treated as one of unknown length.
    """

    def __init__(self, inner: Policy, board: Board) -> None:
        self.inner, self.board = inner, board
        self.name, self.ranks_unknown = inner.name, inner.ranks_unknown
        self._told = False

    def ranks(self, entry: Entry) -> bool:
        """Whether the inner policy ranks this entry."""
        return self._asked(lambda: _finite(*self.inner.rank(entry)), None) is not None

    def first(self, request: Request) -> float:
        """The inner policy's, else the forecast's upper bound."""
        return self._asked(lambda: _finite(self.inner.first(request))[0], float(request.forecast.high))

    def rank(self, entry: Entry) -> Rank:
        """The inner policy's, else the same for all."""
        try:
            return Rank(*_finite(*self.inner.rank(entry)))
        except Exception as error:  # noqa: BLE001 - a policy is anybody's code
            self._failed(error)
            return FIRST

    def reserve(self, entry: Entry) -> int | None:
        """The inner policy's, else nothing beyond the next token."""
        try:
            reserve = self.inner.reserve(entry)
            return None if reserve is None else max(1, int(reserve))
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return None

    def keep(self, entry: Entry) -> float:
        """The inner policy's, else the earliest admitted."""
        return self._asked(lambda: _finite(self.inner.keep(entry))[0], -float(entry.admitted))

    def evicted(self, entry: Entry) -> float:
        """The inner policy's, else what is known."""
        return self._asked(lambda: _finite(self.inner.evicted(entry))[0], float(max(entry.estimate, entry.generated)))

    def _asked(self, question: Callable[[], T], otherwise: T) -> T:
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return otherwise

    def _failed(self, error: Exception) -> None:
        self.board.add("policy_errors")
        if not self._told:
            self._told = True
            log.error("policy %r fails: whom it concerns is served in arrival order", self.name, exc_info=error)


def _finite(*numbers: float) -> tuple[float, ...]:
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"need finite numbers, got {numbers}")
    return numbers

"""What was said of requests whose answers are awaited."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

T = TypeVar("T")
MOST: Final = 100_000
"""Requests remembered; the oldest are given up beyond."""


class Awaited(Generic[T]):
    """Values by request id, in bounded memory. A request without an id is not remembered."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, T] = OrderedDict()

    def put(self, name: str, value: T) -> None:
        """Remember a request."""
        if name:
            self._values[name] = value
            if len(self._values) > MOST:
                self._values.popitem(last=False)

    def get(self, name: str) -> T | None:
        """What is remembered of a request."""
        return self._values.get(name)

    def take(self, name: str) -> T | None:
        """What is remembered of a request, which is then forgotten."""
        return self._values.pop(name, None)

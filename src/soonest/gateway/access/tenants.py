"""A bounded number of tenants' names, so that a client who invents names cannot fill our memory."""

from __future__ import annotations

from collections import OrderedDict

OTHER = "other"
"""The tenant of everybody whose name found no place."""
LONGEST = 128
FORGET_SECONDS = 3600.0


class Tenants:
    """The first `most` names keep their own share; a later one takes the place of a name unused for an hour.

    Who finds no place, or whose name is longer than 128 characters or not printable, is `OTHER`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used: OrderedDict[str, float] = OrderedDict()

    def name(self, asked: str, now: float) -> str:
        """The tenant that a request of this name belongs to."""
        used = self._used
        if asked in used:
            used[asked] = now
            used.move_to_end(asked)
            return asked
        if len(asked) > LONGEST or not asked.isprintable():
            return OTHER
        if len(used) >= self._most:
            oldest = next(iter(used), None)
            if oldest is None or now - used[oldest] < FORGET_SECONDS:
                return OTHER
            del used[oldest]
        used[asked] = now
        return asked

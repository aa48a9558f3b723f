"""A figure beside the one that is expected, and sentences about many of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from soonest.report.study import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.report import Interval


class Check(NamedTuple):
    """A figure that stands if it lies `within` so much of the expected one; `half_width` is of its 95 % interval."""

    what: str
    expected: float
    found: float
    within: float
    half_width: float | None = None

    @property
    def difference(self) -> float:
        """Found less expected."""
        return self.found - self.expected

    @property
    def stands(self) -> bool:
        """Whether it is close enough."""
        return abs(self.difference) <= self.within


def grid(caption: str, checks: Sequence[Check], digits: int = 4) -> Grid:
    """A table of figures, with what is expected of each."""
    rows = tuple(
        (
            check.what,
            f"{check.expected:.{digits}f}",
            _pm(check.found, check.half_width, digits),
            f"{check.difference:+.{digits}f}",
            "yes" if check.stands else "no",
        )
        for check in checks
    )
    within = max((check.within for check in checks), default=0.0)
    return Grid(caption, ("", "expected", "found", "difference", f"within {within:g}"), rows)


def verdict(what: str, checks: Sequence[Check]) -> str:
    """How many figures stand, and which do not: `14 of 15 figures of the A_min table stand, ...`."""
    fallen = [check for check in checks if not check.stands]
    most = max((abs(check.difference) for check in checks if check.stands), default=0.0)
    stand = f"{len(checks) - len(fallen)} of {len(checks)} {what} stand, the farthest {most:.2g} off"
    if not fallen:
        return f"{stand}."
    listed = "; ".join(
        f"{check.what}: {_pm(check.found, check.half_width, 3)} instead of {check.expected:g}" for check in fallen
    )
    return f"{stand}. Not within what is asked: {listed}."


def plus_minus(found: Interval, digits: int = 3) -> str:
    """`1.067 ± 0.019`."""
    return _pm(found.mean, found.half_width, digits)


def _pm(mean: float, half_width: float | None, digits: int) -> str:
    if math.isinf(mean):
        return "never ends"
    return f"{mean:.{digits}f}" + ("" if half_width is None else f" ± {half_width:.{digits}f}")

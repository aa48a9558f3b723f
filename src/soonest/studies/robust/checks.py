"""A figure beside the one that is expected or beside another, and sentences about many of them."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from soonest.report import interval
from soonest.report.study import Curve, Grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from soonest.report import Interval

Key = TypeVar("Key")


class Order(StrEnum):
    """Of a figure beside another, as pairs of the same repetitions tell."""

    BELOW = "below"
    ABOVE = "above"
    EITHER = "not told apart"


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


def standing(what: str, checks: Sequence[Check]) -> str:
    """`14 of 15 figures of the A_min table`."""
    return f"{sum(check.stands for check in checks)} of {len(checks)} {what}"


def verdict(what: str, checks: Sequence[Check]) -> str:
    """How many figures stand, and which do not: `14 of 15 figures of the A_min table stand, ...`."""
    fallen = [check for check in checks if not check.stands]
    most = max((abs(check.difference) for check in checks if check.stands), default=0.0)
    stand = f"{standing(what, checks)} stand, the farthest {most:.2g} off"
    if not fallen:
        return f"{stand}."
    listed = "; ".join(
        f"{check.what}: {_pm(check.found, check.half_width, 3)} instead of {check.expected:g}" for check in fallen
    )
    return f"{stand}. Not within what is asked: {listed}."


def compared(mine: Sequence[float], theirs: Sequence[float]) -> Order:
    """Which mean is below the other, if the 95 % interval of the paired differences leaves 0 out."""
    if math.isinf(sum(mine)) or math.isinf(sum(theirs)):
        return _compared(sum(mine) - sum(theirs), 0.0)  # nan where neither ends
    found = interval([a - b for a, b in zip(mine, theirs, strict=True)])
    return _compared(found.mean, math.inf if found.half_width is None else found.half_width)


def _compared(difference: float, unsure: float) -> Order:
    if difference < -unsure:
        return Order.BELOW
    return Order.ABOVE if difference > unsure else Order.EITHER


def least(values: Mapping[Key, Sequence[float]]) -> list[Key]:
    """The one with the least mean, and after it everyone who is not told apart from it."""
    first = min(values, key=lambda key: sum(values[key]))
    others = [key for key in values if key != first and compared(values[key], values[first]) is Order.EITHER]
    return [first, *others]


def by_order(orders: Mapping[str, Order], words: Mapping[Order, str]) -> str:
    """`below a_max at load 0.7 and 0.9; above it at 1.1`: names of conditions after the words of their order."""
    named = {order: [name for name, each in orders.items() if each is order] for order in Order}
    return "; ".join(f"{words[order]} {listed(names)}" for order, names in named.items() if names)


def beside(other: str, where: str) -> dict[Order, str]:
    """The words of `by_order` for one thing beside another: `below a_max at`."""
    return {order: f"{order}{' from' if order is Order.EITHER else ''} {other} {where}" for order in Order}


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def plus_minus(found: Interval, digits: int = 3) -> str:
    """`1.067 ± 0.019`."""
    return _pm(found.mean, found.half_width, digits)


def gains(found: Interval, digits: int = 1) -> str:
    """`gains 52.7 ± 1.3 %` or `costs 324 ± 22 %`, where the interval says which."""
    half = found.half_width
    if half is not None and abs(found.mean) > half:
        return f"{'gains' if found.mean > 0 else 'costs'} {_pm(abs(found.mean), half, digits)} %"
    return f"neither gains nor costs for sure ({plus_minus(found, digits)} %)"


def curve(name: str, x: Sequence[float], found: Sequence[Interval]) -> Curve:
    """Means over x, with the band of their intervals."""
    low, high = (tuple(each.mean + sign * (each.half_width or 0.0) for each in found) for sign in (-1, 1))
    return Curve(name, tuple(x), tuple(each.mean for each in found), low, high)


def _pm(mean: float, half_width: float | None, digits: int) -> str:
    if math.isinf(mean):
        return "never ends"
    return f"{mean:.{digits}f}" + ("" if half_width is None else f" ± {half_width:.{digits}f}")

"""`least_area` beside every order of A_min, where the table of the paper's rounds does not look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from soonest.report.study import Section
from soonest.studies.robust import a_min
from soonest.studies.robust.a_min import A_MAX, ALPHAS, LEAST_AREA, ORDERS, Kind
from soonest.studies.robust.checks import Order, by_order, compared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from soonest.report.study import Grid
    from soonest.studies.reproduction import Progress, Settings
    from soonest.studies.robust.a_min import Found
    from soonest.studies.robust.families import Policy

POLICIES: Final = (*ORDERS, A_MAX, LEAST_AREA)
KINDS: Final = {
    Kind(restart=True, prompts=False): (),
    Kind(restart=False, prompts=True): ALPHAS,
    Kind(restart=False, prompts=False): (),
}
"""What the study `robust` leaves out, with the alphas of two lengths, which have no prompts in any case."""
WORDS: Final = {
    Order.BELOW: "below every order of `a_min` with",
    Order.ABOVE: "above one of them with",
    Order.EITHER: "not told apart from the best of them with",
}


def measure(settings: Settings, progress: Progress) -> dict[Kind, Found]:
    """The table under each kind."""
    return {kind: a_min.measure(settings, progress, kind, POLICIES, alphas=alphas) for kind, alphas in KINDS.items()}


def against(found: Found, mine: Policy, others: Iterable[Policy]) -> dict[str, Order]:
    """By column: below all others, above one of them, or neither for sure."""
    rivals, orders = list(others), {}
    for source, name in found.columns.items():
        each = {compared(found.means(source, mine), found.means(source, rival)) for rival in rivals}
        orders[name] = Order.ABOVE if Order.ABOVE in each else Order.EITHER if Order.EITHER in each else Order.BELOW
    return orders


def stands(found: Mapping[Kind, Found]) -> list[str]:
    """Whether `least_area` is below every order of A_min, for each kind."""
    return [
        f"{kind.label.capitalize()}: mean latency under {LEAST_AREA.label} is "
        f"{by_order(against(table, LEAST_AREA, ORDERS), WORDS)}."
        for kind, table in found.items()
    ]


def section(found: Mapping[Kind, Found]) -> Section:
    """Means and tails of each kind."""
    widest = max(found.values(), key=lambda table: len(table.columns))
    setting = (
        "The A_min table of `soonest reproduce robust`, which has restart and prompts, for the other kinds: "
        f"{a_min.setting(widest)} Hindsight (H-SF) knows each length, ranks by it and never evicts; below 1 is "
        "possible, because it ranks by length alone and starts equal lengths together."
    )
    text = setting, *(f"{kind.label.capitalize()}. {a_min.best(table)}" for kind, table in found.items())
    grids: list[Grid] = []
    for kind, table in found.items():
        grids += [
            a_min.table(table, f"Total latency over H-SF's, {kind.label}"),
            a_min.tails(table, f", {kind.label}"),
        ]
    return Section("A better A_min", text, tuple(grids))

"""Which replica a request goes to when it arrives: each router is a function, and draws and clock are arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from soonest.sim.draws import pick

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

SPREAD: Final = 8
"""Outstanding requests that the holder of a prefix may have more than the least loaded replica (AIBrix's default)."""
MATCH: Final = 0.1
"""Share of a prompt's parts from which on a replica counts as holding its prefix (Ray Serve's default)."""


class Seen(Protocol):
    """What a router knows of a replica."""

    @property
    def requests(self) -> int:
        """How many were sent there and have not ended."""

    def tokens(self, now: int) -> float:
        """Output tokens that those are expected to give from `now` (picoseconds) on."""

    def shared(self, prefix: Sequence[Hashable]) -> int:
        """How many leading parts of a prompt have been sent there before."""


class Ask(NamedTuple):
    """One question to a router: requests routed before, the time in picoseconds, the parts of the prompt, and draws.

    `draw(k)` is the k-th uniform number in (0, 1] of this request.
    """

    number: int
    now: int
    prefix: Sequence[Hashable]
    draw: Callable[[int], float]


class Router(Protocol):
    """A function that names a replica by its place in the sequence."""

    def __call__(self, replicas: Sequence[Seen], ask: Ask, /) -> int:
        """The same answer to the same question, always."""


def round_robin(replicas: Sequence[Seen], ask: Ask) -> int:
    """One after the other."""
    return ask.number % len(replicas)


def random(replicas: Sequence[Seen], ask: Ask) -> int:
    """Any, with equal chances."""
    return pick(ask.draw(0), len(replicas))


def least_requests(replicas: Sequence[Seen], ask: Ask) -> int:
    """The one with the fewest outstanding requests; of equals, any."""
    return _least([replica.requests for replica in replicas], ask)


def power_of_two(replicas: Sequence[Seen], ask: Ask) -> int:
    """Of two at random, the one with fewer outstanding requests (Mitzenmacher, 2001); Ray Serve's default."""
    n = len(replicas)
    one = pick(ask.draw(0), n)
    if n == 1:
        return one
    other = (one + 1 + pick(ask.draw(1), n - 1)) % n
    return other if replicas[other].requests < replicas[one].requests else one


def least_expected_tokens(replicas: Sequence[Seen], ask: Ask) -> int:
    """The one whose outstanding requests are expected to give the fewest tokens yet; of equals, any."""
    return _least([replica.tokens(ask.now) for replica in replicas], ask)


def least_requests_then_tokens(replicas: Sequence[Seen], ask: Ask) -> int:
    """The one with the fewest outstanding requests; of equals the one with the fewest expected tokens (ADR 0025)."""
    return _least([(replica.requests, replica.tokens(ask.now)) for replica in replicas], ask)


def prefix_affinity(replicas: Sequence[Seen], ask: Ask) -> int:
    """The one that was sent the longest part of the prompt's beginning; `power_of_two` if it is none or too loaded."""
    shared = [replica.shared(ask.prefix) for replica in replicas]
    longest = max(shared)
    if longest == 0 or longest < MATCH * len(ask.prefix):
        return power_of_two(replicas, ask)
    requests = [replica.requests for replica in replicas]
    holders = [place for place, length in enumerate(shared) if length == longest]
    best = holders[_least([requests[place] for place in holders], ask)]
    return best if requests[best] <= min(requests) + SPREAD else power_of_two(replicas, ask)


def _least(values: Sequence[float | tuple[float, float]], ask: Ask) -> int:
    lowest = min(values)
    places = [place for place, value in enumerate(values) if value == lowest]
    return places[pick(ask.draw(2), len(places))] if len(places) > 1 else places[0]


ROUTERS: Final[dict[str, Router]] = {
    router.__name__: router
    for router in (
        round_robin,
        random,
        least_requests,
        power_of_two,
        least_expected_tokens,
        least_requests_then_tokens,
        prefix_affinity,
    )
}

"""The questions a host asks about one request."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from soonest.core.entry import Entry
    from soonest.core.request import Request
    from soonest.core.rules import Need


HAZARD_LIMIT = float(1 << 40)
AREA_LIMIT = float(1 << 50)
"""The most that pacing charges for a start, so that sums stay in 64 bits."""


class Rank(NamedTuple):
    """Who goes first: the smallest `base + slope * now`. Only its order counts; it has no unit."""

    base: float
    slope: float = 0.0


class Policy:
    """The contract: pure answers about one request, the same for the same question.

    Subclass it, override what differs, and register the class under the entry-point group `soonest.policies`, or name
    it `module:Class`. `soonest.testing.check_policy` checks the contract.
    """

    name: str = ""
    """One lowercase word, the same in code, on the command line and in the docs."""
    source: str = ""
    """The paper or system it comes from."""
    needs: frozenset[Need] = frozenset()
    """What the host must give."""
    holds: bool = False
    """Whether the look-ahead counts on nobody ending: each holds what it reserves, or its size once past that."""
    ranks_unknown: bool = False
    """Whether `rank` orders requests of unknown length too; else they wait in arrival order, as one."""

    @property
    def numbers(self) -> tuple[Numbers, ...] | None:
        """The same answers as plain numbers, one row a kind of request, or `None` for a policy that is code."""
        return None

    def row(self, request: Request) -> int:  # noqa: ARG002 - one row serves all, unless a policy says otherwise
        """Which row of `numbers` answers for this request; it may depend on the forecast alone."""
        return 0

    def first(self, request: Request) -> float:
        """The first estimate of its output, in tokens; the host clamps it."""
        return request.forecast.high

    def rank(self, entry: Entry) -> Rank:
        """Who of the waiting goes first? Asked on arrival, on eviction and when a forecast changes."""
        raise NotImplementedError(f"policy {self.name!r} must answer `rank`")

    def reserve(self, entry: Entry) -> int | None:  # noqa: ARG002 - the default is the same for all
        """For how many output tokens is memory held? `None`: nothing beyond the next token."""
        return None

    def keep(self, entry: Entry) -> float:
        """When memory overflows, who is worth keeping? The smallest goes first, of equals the later one inserted."""
        return -entry.admitted

    def evicted(self, entry: Entry) -> float:
        """The estimate after losing an attempt, never smaller. Asked before `generated` and `attempts` change."""
        return max(entry.estimate, entry.generated)

    def quantum(self, entry: Entry, draw: float) -> int | None:  # noqa: ARG002 - most policies have none
        """After how many tokens is this attempt sent back? Asked once at admission, 0 < `draw` <= 1 at random.

        An attempt that `yields` is not sent back then: others are offered its place, and if it stays it is asked again.
        """
        return None

    def yields(self, entry: Entry) -> bool:  # noqa: ARG002 - the default is the same for all
        """May a waiting request that ranks better than this running one take its place? Needs `displace`."""
        return False


@dataclass(frozen=True, slots=True)
class Numbers:
    """One row of coefficients: a policy without code, as the compiled kernel takes it.

    With e the estimate, g the tokens generated, a the arrival, m the expected tokens (at least 1), l and u the
    forecast's interval, k the attempts lost and s the prompt::

        first   = first_low*l + first_high*u
        rank    = estimate*e + expected*m + area*left + (age + ratio/m)*(a - now)
        reserve = e if reserve_estimate, else nothing beyond the next token
        keep    = keep_admitted*admitted + keep_estimate*e + keep_live*max(e, g) + keep_area*left
        evicted = max(e, grow*g + plus, lift*u)
        quantum = floor(min((s + e) / draw, 2**40)) - s if quantum_hazard; e if quantum_first and k == 0; else none

    `left` is `area_left(e, g, u, s)`; the rank of an unknown forecast takes e for u, as it expects the mean.
    """

    first_low: float = 0.0
    first_high: float = 1.0
    estimate: float = 0.0
    expected: float = 0.0
    age: float = 0.0
    ratio: float = 0.0
    reserve_estimate: bool = False
    keep_admitted: float = -1.0
    keep_estimate: float = 0.0
    keep_live: float = 0.0
    grow: float = 1.0
    plus: float = 0.0
    lift: float = 0.0
    quantum_first: bool = False
    quantum_hazard: bool = False
    area: float = 0.0
    keep_area: float = 0.0

    def rank(self, entry: Entry) -> Rank:
        """The rank that these coefficients give."""
        m, e, request = max(entry.expected, 1.0), entry.estimate, entry.request
        base, slope = affine(self.estimate, self.expected, self.age, self.ratio, e, m, request.arrival)
        if self.area:
            high = request.forecast.high if request.forecast.known else e
            base += self.area * area_left(e, entry.generated, high, request.prompt_tokens)
        return Rank(base, slope)


def affine(  # the one place where a rank is computed, for objects and, compiled, for the kernel
    estimate: float, expected: float, age: float, ratio: float, e: float, m: float, a: float
) -> tuple[float, float]:
    """Base and slope of `estimate*e + expected*m + (age + ratio/m)*(a - now)`."""
    waiting = age + ratio / m
    return estimate * e + expected * m + waiting * a, -waiting


def area_left(e: float, g: float, u: float, s: float) -> float:  # as above, for objects and kernel
    """Token-iterations of memory that an answer of x = max(e, g + 1) to u tokens is expected to hold yet.

    Nothing is known between x and u, so each order of magnitude is as likely: the length is log-uniform, of mean
    L = (u - x) / ln(u / x). After g tokens a prompt of s holds s + g + 1, ..., s + L, in all
    s (L - g) + (L (L + 1) - g (g + 1)) / 2; exact where the length is.
    """
    x = float(max(e, g + 1))
    length = (u - x) / math.log(u / x) if u > x else x
    return s * (length - g) + (length * (length + 1.0) - g * (g + 1.0)) / 2.0


class Plain(Policy):
    """A policy that is plain numbers: it answers every question from `rows`, so the kernel and the object agree."""

    rows: tuple[Numbers, ...] = ()

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """The rows themselves."""
        return self.rows

    def first(self, request: Request) -> float:
        """See `Numbers`."""
        n = self.rows[self.row(request)]
        return n.first_low * request.forecast.low + n.first_high * request.forecast.high

    def rank(self, entry: Entry) -> Rank:
        """See `Numbers`."""
        return self.rows[self.row(entry.request)].rank(entry)

    def reserve(self, entry: Entry) -> int | None:
        """See `Numbers`."""
        return entry.estimate if self.rows[self.row(entry.request)].reserve_estimate else None

    def keep(self, entry: Entry) -> float:
        """See `Numbers`."""
        n = self.rows[self.row(entry.request)]
        live = max(entry.estimate, entry.generated)
        keep = n.keep_admitted * entry.admitted + n.keep_estimate * entry.estimate + n.keep_live * live
        if n.keep_area:
            request = entry.request
            keep += n.keep_area * area_left(
                entry.estimate, entry.generated, request.forecast.high, request.prompt_tokens
            )
        return keep

    def evicted(self, entry: Entry) -> float:
        """See `Numbers`."""
        n = self.rows[self.row(entry.request)]
        return max(entry.estimate, n.grow * entry.generated + n.plus, n.lift * entry.request.forecast.high)

    def quantum(self, entry: Entry, draw: float) -> int | None:
        """See `Numbers`."""
        n = self.rows[self.row(entry.request)]
        if n.quantum_hazard:
            prompt = entry.request.prompt_tokens
            return int(min((prompt + entry.estimate) / draw, HAZARD_LIMIT)) - prompt
        return entry.estimate if n.quantum_first and entry.attempts == 0 else None


def keeps_by_admission(policy: Policy) -> bool:
    """Whether overflow always takes the newest, so that hosts need not ask `keep`."""
    numbers = policy.numbers
    if numbers is None:
        return type(policy).keep is Policy.keep
    return all(row.keep_admitted < 0 and row.keep_estimate == row.keep_live == row.keep_area == 0 for row in numbers)


def reserves_estimate(policy: Policy) -> bool:
    """Whether it ever holds memory beyond the next token, so that a host without memory limits need not ask."""
    numbers = policy.numbers
    if numbers is None:
        return type(policy).reserve is not Policy.reserve
    return any(row.reserve_estimate for row in numbers)

"""Does a policy keep what every host relies on?"""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, TypeGuard

from soonest.core import Entry, Forecast, Need, Policy, PolicyError, Request
from soonest.core.policy import area_left

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soonest.core import Numbers

SEED = 20_240_612
ENTRIES = 200
DRAWS = (2.0**-53, 0.01, 0.3, 0.5, 0.999, 1.0)


def check_policy(policy: Policy) -> None:
    """Ask a policy every question about many entries and check its answers.

    Pure: the same question has the same answer, and asking changes nothing. Sane: ranks, estimates and keeps are finite
    numbers, a reserve or a quantum is `None` or a whole number of tokens, at least 1, an evicted estimate is never
    smaller, and nobody `yields` under a policy that does not need `displace`. Named: one lowercase word, and a
    docstring. Where a policy has `numbers`, they give the same answers.

    Raises:
        PolicyError: which law is broken, and the entry that shows it.
    """
    _check_words(policy)
    entries = list(_entries())
    for entry in entries:
        _check_row(policy, entry)
    first = [_ask(policy, entry) for entry in entries]
    for entry, answers in zip(entries, first, strict=True):
        _check_answers(policy, entry, answers)
        if policy.numbers is not None:
            _check_numbers(policy, policy.numbers[policy.row(entry.request)], entry, answers)
    for entry, answers in zip(reversed(entries), reversed(first), strict=True):
        if _ask(policy, replace(entry)) != answers:
            raise _broken(policy, "the same question must have the same answer", entry)


Answers = dict[str, object]


def _check_words(policy: Policy) -> None:
    if not re.fullmatch("[a-z_]+", str(policy.name)):
        raise _broken(policy, "`name` must be one lowercase word of a-z and _")
    if not re.search(r"\w\.(\s|$)", type(policy).__doc__ or ""):
        raise _broken(policy, "its class must have a docstring of at least one sentence")
    if not isinstance(policy.needs, frozenset) or not all(isinstance(need, Need) for need in policy.needs):
        raise _broken(policy, f"`needs` must be a frozenset of soonest.core.Need, not {policy.needs!r}")
    for name in ("holds", "ranks_unknown"):
        if not isinstance(getattr(policy, name), bool):
            raise _broken(policy, f"`{name}` must be True or False, not {getattr(policy, name)!r}")


def _ask(policy: Policy, entry: Entry) -> Answers:
    before = repr(entry)
    try:
        answers: Answers = {
            "first": policy.first(entry.request),
            "rank": policy.rank(entry),
            "reserve": policy.reserve(entry),
            "keep": policy.keep(entry),
            "evicted": policy.evicted(entry),
            "quantum": tuple(policy.quantum(entry, draw) for draw in DRAWS),
            "yields": policy.yields(entry),
        }
    except Exception as error:
        raise _broken(policy, f"every question must have an answer, but one raised {error!r}", entry) from error
    if repr(entry) != before:
        raise _broken(policy, "asking must not change the entry", entry)
    return answers


def _check_answers(policy: Policy, entry: Entry, answers: Answers) -> None:
    first, rank, keep, evicted = (answers[q] for q in ("first", "rank", "keep", "evicted"))
    if not (_finite(first) and first >= 0):
        raise _broken(policy, f"`first` must be finite and at least 0, not {first!r}", entry)
    if not (isinstance(rank, tuple) and len(rank) == 2 and all(map(_finite, rank))):
        raise _broken(policy, f"`rank` must be a Rank of two finite numbers, not {rank!r}", entry)
    if not _finite(keep):
        raise _broken(policy, f"`keep` must be finite, not {keep!r}", entry)
    if not (_finite(evicted) and evicted >= entry.estimate):
        raise _broken(policy, f"`evicted` must be finite and never below the estimate, not {evicted!r}", entry)
    if not _tokens(answers["reserve"]):
        law = f"`reserve` must be None or a whole number of at least 1, not {answers['reserve']!r}"
        raise _broken(policy, law, entry)
    quanta = answers["quantum"]
    for quantum in quanta if isinstance(quanta, tuple) else ():
        if not _tokens(quantum):
            raise _broken(policy, f"`quantum` must be None or a whole number of at least 1, not {quantum!r}", entry)
    yields = answers["yields"]
    if not isinstance(yields, bool):
        raise _broken(policy, f"`yields` must be True or False, not {yields!r}", entry)
    if yields and Need.DISPLACE not in policy.needs:
        raise _broken(policy, "who `yields` needs Need.DISPLACE in `needs`", entry)


def _check_row(policy: Policy, entry: Entry) -> None:
    count = 1 if policy.numbers is None else len(policy.numbers)
    row: object = policy.row(entry.request)
    if not (isinstance(row, Integral) and 0 <= int(row) < count):
        raise _broken(policy, f"`row` must lie in 0..{count - 1}, not {row!r}", entry)
    other = Request("another", 3.0, 1, tenant="another", priority=2, forecast=entry.request.forecast)
    if policy.row(other) != row:
        raise _broken(policy, "`row` must depend on the forecast alone", entry)


def _check_numbers(policy: Policy, row: Numbers, entry: Entry, answers: Answers) -> None:
    for (question, answer), value in zip(answers.items(), _by_formula(row, entry), strict=True):
        if answer != value:
            raise _broken(policy, f"`{question}` must answer as its `numbers` do: {value}, not {answer}", entry)


def _finite(answer: object) -> TypeGuard[float]:
    return isinstance(answer, Real) and math.isfinite(answer)


def _tokens(answer: object) -> bool:
    return answer is None or (not isinstance(answer, bool) and isinstance(answer, Integral) and int(answer) >= 1)


def _by_formula(n: Numbers, entry: Entry) -> Iterator[object]:
    """The formulas of `Numbers`' docstring, in the order of the questions."""
    request = entry.request
    e, g, k, s, a = entry.estimate, entry.generated, entry.attempts, request.prompt_tokens, request.arrival
    m, low, high = max(entry.expected, 1.0), request.forecast.low, request.forecast.high
    yield n.first_low * low + n.first_high * high
    slope = n.age + n.ratio / m
    base = n.estimate * e + n.expected * m + slope * a
    yield base + n.area * area_left(e, g, high if request.forecast.known else e, s), -slope
    yield e if n.reserve_estimate else None
    keep = n.keep_admitted * entry.admitted + n.keep_estimate * e + n.keep_live * max(e, g)
    yield keep + n.keep_area * area_left(e, g, high, s)
    yield max(e, n.grow * g + n.plus, n.lift * high)
    if n.quantum_hazard:
        yield tuple(math.floor(min((s + e) / draw, 2.0**40)) - s for draw in DRAWS)
    else:
        yield (e if n.quantum_first and k == 0 else None,) * len(DRAWS)
    yield False


def _entries() -> Iterator[Entry]:
    """Entries of every kind, the same each time: edges of each fact beside pseudo-random ones."""
    chance = random.Random(SEED)  # noqa: S311 - a spread, no secret
    for number in range(ENTRIES):
        forecast = _forecast(chance)
        estimate = chance.choice((1, 2, max(1, forecast.low), max(1, forecast.high), chance.randint(1, 9000)))
        request = Request(
            f"request-{number}",
            chance.choice((0.0, 1.75e9, chance.uniform(0, 1e4))),
            prompt_tokens=chance.choice((0, 1, 512, chance.randint(0, 100_000))),
            max_tokens=max(estimate, chance.randint(1, 9000)),
            priority=chance.randint(-1, 1),
            tenant=chance.choice(("", "a", "b")),
            forecast=forecast,
        )
        yield Entry(
            request,
            estimate,
            generated=chance.choice((0, 1, estimate - 1, estimate, estimate + 1, 3 * estimate)),
            attempts=chance.choice((0, 0, 1, 7)),
            admitted=chance.choice((0, 1, chance.randint(0, 1_000_000))),
            expected=forecast.expected if forecast.known else chance.choice((1.0, 128.0, chance.uniform(0, 4000))),
            sequence=number,
        )


def _forecast(chance: random.Random) -> Forecast:
    low, middle, high = sorted(chance.randint(0, 8000) for _ in range(3))
    return chance.choice(
        (
            Forecast.exact(chance.choice((0, 1, low))),
            Forecast.interval(low, high),
            Forecast.interval(0, chance.choice((0, 1, high))),
            Forecast.classes((low, middle, high), (1, 2)),
            Forecast.interval(low, high).after(middle),
            Forecast.exact(low).after(middle),
            Forecast.unknown(chance.choice((1, 1 << 20))),
        )
    )


def _broken(policy: Policy, law: str, entry: Entry | None = None) -> PolicyError:
    shown = "" if entry is None else f"; shown by {entry!r}"
    return PolicyError(f"policy {policy.name!r} ({type(policy).__qualname__}): {law}{shown}")

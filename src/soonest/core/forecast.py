"""What we believe about an answer's length, and how belief changes as tokens appear."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from numbers import Real
from operator import add, le, mul
from typing import TYPE_CHECKING, Self

from soonest.core.errors import ForecastError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LEVELS = 16
MAX_TOKENS = 1 << 40
NEGLIGIBLE = 1e-9  # a class less likely than this is none


@dataclass(frozen=True, slots=True)
class Forecast:
    """The distribution of a request's output tokens.

    `tokens[i]` is the quantile at `levels[i]`: at most 16 strictly increasing levels from 0 to 1, token counts that
    never decrease, linear in between. Levels 0 and 1 are the hard support; `exact(n)` is an atom.

    `low` and `high` name an interval, and `coverage` is the share of answers promised to lie inside it (`None`: no
    promise). `known` is false for a forecast that says nothing: its requests are served in arrival order.

    Raises:
        ForecastError: levels or tokens are no quantile function, or the interval is empty.
    """

    levels: tuple[float, ...]
    tokens: tuple[float, ...]
    low: int
    high: int
    coverage: float | None = None
    known: bool = True
    exhausted: bool = False
    expected: float = field(init=False, compare=False)
    """Mean of the distribution, in tokens. For an unknown forecast, hosts use the running mean of finished answers."""

    def __post_init__(self) -> None:
        levels, tokens = self.levels, self.tokens
        if not 2 <= len(levels) <= MAX_LEVELS or len(levels) != len(tokens):
            raise ForecastError(f"need 2 to {MAX_LEVELS} levels and as many token counts, got {levels} and {tokens}")
        widths = _half_widths(tuple(levels))
        if not widths:
            raise ForecastError(f"levels must increase strictly from 0 to 1, got {levels}")
        if not all(map(le, tokens, tokens[1:])) or not 0 <= tokens[0] <= tokens[-1] <= MAX_TOKENS:
            raise ForecastError(f"token counts must not decrease and lie in 0..{MAX_TOKENS}, got {tokens}")
        if not 0 <= self.low <= self.high <= MAX_TOKENS:
            raise ForecastError(f"need 0 <= low <= high <= {MAX_TOKENS}, got {self.low} and {self.high}")
        if self.coverage is not None and not 0 < self.coverage <= 1:
            raise ForecastError(f"coverage is a share in (0, 1], got {self.coverage}")
        area = math.fsum(map(mul, widths, map(add, tokens, tokens[1:])))
        mean = min(max(area, tokens[0]), tokens[-1])  # rounding must not leave the support
        object.__setattr__(self, "expected", float(mean))

    @classmethod
    def exact(cls, tokens: int) -> Self:
        """An answer of exactly this many tokens."""
        return cls((0.0, 1.0), (tokens, tokens), tokens, tokens, coverage=1.0)

    @classmethod
    def interval(cls, low: int, high: int) -> Self:
        """Somewhere from `low` to `high`, with no promise (Chen, Ye, Zhou, 2025, arXiv:2508.14544)."""
        return cls((0.0, 1.0), (low, high), low, high)

    @classmethod
    def hint(cls, low: float, expected: float, high: float) -> Self:
        """What another host says of an answer in three numbers: an interval, and the mean within it.

        Linear on both sides of the mean, with as much mass below it as makes it the mean.
        """
        if not (math.isfinite(low) and math.isfinite(high) and low <= expected <= high):
            raise ForecastError(f"need low <= expected <= high, got {low}, {expected} and {high}")
        if low == high:
            return cls((0.0, 1.0), (low, high), math.floor(low), math.ceil(high))
        below = min(max((high - expected) / (high - low), NEGLIGIBLE), 1 - NEGLIGIBLE)
        return cls((0.0, below, 1.0), (low, expected, high), math.floor(low), math.ceil(high))

    @classmethod
    def told(cls, said: object) -> Self:
        """The `hint` that came from elsewhere: a list of three numbers, low, expected and high.

        Raises:
            ForecastError: it is anything else.
        """
        numbers = said if isinstance(said, (list, tuple)) and all(isinstance(n, Real) for n in said) else ()
        try:
            low, expected, high = map(float, numbers)
        except (ValueError, OverflowError):
            raise ForecastError("need three numbers of tokens: low, expected and high") from None
        return cls.hint(low, expected, high)

    @classmethod
    def classes(cls, edges: Sequence[float], probabilities: Sequence[float], coverage: float = 0.9) -> Self:
        """A classifier's answer: k+1 `edges` in tokens, k class `probabilities` (Qiu et al., 2024, arXiv:2404.08509).

        `low` and `high` are the central interval of that `coverage`. Probabilities are normalised, classes of no
        probability vanish, and at most 15 levels may remain.
        """
        total = math.fsum(probabilities) if all(p >= 0 for p in probabilities) else math.nan
        if len(edges) != len(probabilities) + 1 or not 0 < total < math.inf:
            raise ForecastError(f"need k+1 edges and k probabilities >= 0, got {edges} and {probabilities}")
        if not all(a <= b for a, b in pairwise(edges)):
            raise ForecastError(f"edges must not decrease, got {edges}")
        likely = [i for i, p in enumerate(probabilities) if p > NEGLIGIBLE * total]
        levels, tokens = [0.0], [float(edges[likely[0]])]
        for i in likely:
            if edges[i] > tokens[-1]:  # a gap: jump within a vanishing share of the mass
                levels.append(math.nextafter(levels[-1], 1))
                tokens.append(float(edges[i]))
            levels.append(levels[-1] + probabilities[i] / total)
            tokens.append(float(edges[i + 1]))
        levels[-1] = 1.0
        whole = cls(tuple(levels), tuple(tokens), 0, MAX_TOKENS, coverage)
        tail = (1 - coverage) / 2
        return cls(
            whole.levels, whole.tokens, math.floor(whole.quantile(tail)), math.ceil(whole.quantile(1 - tail)), coverage
        )

    @classmethod
    def unknown(cls, limit: int) -> Self:
        """No idea, except that an answer has at least one token and at most `limit`."""
        return cls((0.0, 1.0), (min(1, limit), limit), min(1, limit), limit, known=False)

    def quantile(self, level: float) -> float:
        """The token count that a share `level` of answers does not exceed."""
        if not 0 <= level <= 1:
            raise ForecastError(f"a level lies in [0, 1], got {level}")
        i = min(bisect_right(self.levels, level), len(self.levels) - 1)
        a, b = self.levels[i - 1], self.levels[i]
        s, t = self.tokens[i - 1], self.tokens[i]
        return s + (t - s) * (level - a) / (b - a)

    def below(self, tokens: float) -> float:
        """The share of answers with at most this many tokens."""
        i = bisect_right(self.tokens, tokens)
        if i == 0:
            return 0.0
        if i == len(self.tokens):
            return 1.0
        (a, b), (s, t) = self.levels[i - 1 : i + 1], self.tokens[i - 1 : i + 1]
        return a + (b - a) * (tokens - s) / (t - s)

    def after(self, generated: int) -> Forecast:
        """The law given that more than `generated` tokens appear, so at least one more.

        Past the top of the support it is exactly `generated` + 1, and `exhausted`. Conditioning ends the promise:
        `coverage` becomes `None`. Ask the original forecast each time: what is below the next token moves up to it, so
        many small steps drift from one large one.
        """
        least = generated + 1
        if least <= self.tokens[0]:
            return self
        gone = self.below(generated)
        if generated >= self.tokens[-1] or gone >= 1:
            limits = (0.0, 1.0), (least, least), least, least
            return Forecast(*limits, known=self.known, exhausted=True)
        levels, tokens = [0.0], [float(least)]
        for level, count in zip(self.levels[1:-1], self.tokens[1:-1], strict=True):
            share = max((level - gone) / (1 - gone), math.nextafter(levels[-1], 1))  # rounding must not join two levels
            if generated < count and share < 1:
                levels.append(share)
                tokens.append(max(count, least))
        levels.append(1.0)
        tokens.append(max(self.tokens[-1], least))
        low, high = max(self.low, least), max(self.high, least)
        return Forecast(tuple(levels), tuple(tokens), low, high, known=self.known)


@lru_cache(maxsize=256)
def _half_widths(levels: tuple[float, ...]) -> tuple[float, ...]:
    """Half of the distance from each level to the next; none unless they increase from 0 to 1. A host uses few sets."""
    if levels[0] != 0 or levels[-1] != 1 or not all(a < b for a, b in pairwise(levels)):
        return ()
    return tuple((b - a) / 2 for a, b in pairwise(levels))

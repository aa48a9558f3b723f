"""What the theory says: competitive ratios in closed form, a lower bound and the optimum of small instances.

The ratios are to H-SF (shortest first with the true lengths, look-ahead admission, no eviction), for requests without a
prompt, as memory and the number of requests grow without bound. They describe the randomised A_min and A_ell. The
policies are those of Chen, Ye, Zhou, 2025, arXiv:2508.14544; H-SF is the MC-SF of Jaillet et al., 2025,
arXiv:2502.07115. The closed forms marked "derived" are this project's, checked against its simulator.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soonest.core import CapacityError, SoonestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

GEOMETRIC_LIMIT: Final = 10 - 12 * math.log(2)
"""Limit of `geometric_ratio(q)` as q -> 1, about 1.6822 (derived)."""
LINEAR_GEOMETRIC_LIMIT: Final = 14 / 9
"""Limit of `linear_geometric_ratio(q)` as q -> 1 (derived)."""
ADAPTIVE_THRESHOLD: Final = (3 - math.sqrt(5)) / 2
"""On two lengths, A_ell beats A_min iff alpha = low / high is below this, about 0.382 (derived)."""
ADAPTIVE_WORST: Final = (3 + math.sqrt(5)) / 4
"""The worst ratio, about 1.309, of taking the better of the two, met at the threshold (derived)."""
MAX_LENGTHS: Final = 2000
MAX_REQUESTS: Final = 12
MAX_ROUNDS: Final = 500


def pair_matrices(low: int, high: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pair costs (A, B) of A_min and H-SF for the lengths low..high, in tokens squared (derived).

    With m the smaller and x the larger length of a pair, A = m^2 - m^3 / (2 x) + m x / 2 and B = m^2; the latency
    that a pair adds to the total is proportional to its entry.
    """
    if not 1 <= low <= high < low + MAX_LENGTHS:
        raise SoonestError(f"need 1 <= low <= high and at most {MAX_LENGTHS} lengths, got {low} and {high}")
    lengths = np.arange(low, high + 1, dtype=np.float64)
    small, large = np.minimum.outer(lengths, lengths), np.maximum.outer(lengths, lengths)
    return small**2 - small**3 / (2 * large) + small * large / 2, small**2


def worst_ratio(low: int, high: int) -> float:
    """A_min's competitive ratio: the largest generalised eigenvalue of (A, B) on the lengths low..high (derived).

    B is positive definite, so with its Cholesky factor L it is the largest eigenvalue of L^-1 A L^-T.
    """
    cost, base = pair_matrices(low, high)
    factor = np.linalg.cholesky(base)
    half = np.linalg.solve(factor, cost)
    return float(np.linalg.eigvalsh(np.linalg.solve(factor, half.T))[-1])


def distribution_ratio(weights: ArrayLike, low: int = 1) -> float:
    """A_min's ratio for lengths low, low + 1, ... with weights w: w'Aw / w'Bw, in O(n) by running sums (derived)."""
    weight = np.asarray(weights, dtype=np.float64)
    if weight.ndim != 1 or low < 1 or not np.isfinite(weight).all() or not (weight >= 0).all() or not weight.sum() > 0:
        raise SoonestError("need low >= 1 and finite weights >= 0, not all 0, in one dimension")
    weight = weight / weight.sum()
    length = low + np.arange(len(weight), dtype=np.float64)
    one, two, three = (np.cumsum(weight * length**p) - weight * length**p for p in (1, 2, 3))
    alone = float((weight**2 * length**2).sum())
    cost = alone + 2 * float((weight * (two - three / (2 * length) + one * length / 2)).sum())
    return cost / (alone + 2 * float((weight * two).sum()))


def geometric_ratio(q: float) -> float:
    """A_min's ratio for lengths k = 1, 2, ... with weights q^k; rises to 10 - 12 ln 2 as q -> 1 (derived)."""
    return distribution_ratio(q ** _support(q))


def linear_geometric_ratio(q: float) -> float:
    """A_min's ratio for lengths k = 1, 2, ... with weights k q^k; tends to 14/9 as q -> 1 (derived)."""
    support = _support(q)
    return distribution_ratio(support * q**support)


def _support(q: float) -> NDArray[np.float64]:
    """The lengths 1..k beyond which q^k weighs nothing in a double."""
    if not 0 < q <= 0.9999:
        raise SoonestError(f"q must lie in (0, 0.9999], got {q}")
    return np.arange(1, math.ceil(60 / -math.log(q)) + 2, dtype=np.float64)


def two_point_ratio(alpha: float) -> float:
    """A_min's worst ratio on two lengths of quotient alpha: (3 - alpha) / 2, at most 1.5 (derived)."""
    return (3 - _share(alpha)) / 2


def worst_ratio_fit(alpha: float) -> float:
    """An approximation of `worst_ratio` for low = alpha x high, high large: 1.20 + ln(1 / alpha) / 4 (derived).

    Within 0.04 for alpha <= 0.1; 0.1 too high at 0.5.
    """
    return 1.20 + math.log(1 / _share(alpha)) / 4


def a_ell_ratio(alpha: float) -> float:
    """A_ell's worst ratio on two lengths: 1 + alpha / (2 (1 - alpha)) up to 1/2, 1 + 2 alpha^2 above (derived)."""
    return 1 + alpha / (2 * (1 - alpha)) if _share(alpha) <= 0.5 else 1 + 2 * alpha**2


def a_ell_mixture(low: int, high: int, share: float) -> float:
    """A_ell's ratio to H-SF when a `share` p of the answers has `low` tokens, and r = 1 - p have `high`.

    For s = 0, in the fluid limit: everyone is tried for l tokens, the long run behind them in rounds of area u^2.
    (p l^2 + 2 r l^2 + r^2 u^2) / (l^2 (p^2 + 2 p r) + u^2 r^2); its maximum over p is `a_ell_ratio` for l/u <= 1/2.
    """
    p, r = share, 1 - share
    return (p * low**2 + 2 * r * low**2 + r * r * high**2) / (low**2 * (p * p + 2 * p * r) + high**2 * r * r)


def a_max_bound(alpha: float) -> float:
    """A_max's total latency is at most (1 / alpha) (1 + 1 / alpha) / 2 times that of H-SF (arXiv:2508.14544)."""
    return (1 / _share(alpha)) * (1 + 1 / alpha) / 2


def _share(alpha: float) -> float:
    if not 0 < alpha <= 1:
        raise SoonestError(f"alpha = low / high lies in (0, 1], got {alpha}")
    return alpha


def area_bound(prompt: ArrayLike, output: ArrayLike, memory: int) -> float:
    """No schedule has a lower total latency, in rounds, when all arrive at 0 (derived).

    A request of prompt s and output o holds s o + o (o + 1) / 2 token-rounds of memory. The k-th to finish does so no
    earlier than the k smallest of these, added up, fill the memory.
    """
    prompts, outputs = (np.asarray(column, dtype=np.float64) for column in (prompt, output))
    if memory < 1 or prompts.shape != outputs.shape or prompts.ndim != 1:
        raise SoonestError(
            f"need memory >= 1 and columns of one length, got {memory}, {prompts.shape}, {outputs.shape}"
        )
    return float(np.cumsum(np.sort(prompts * outputs + outputs * (outputs + 1) / 2)).sum()) / memory


def optimum(prompt: Sequence[int], output: Sequence[int], arrival: Sequence[int], memory: int) -> int:
    """The least total latency sum(C - a) of any schedule without eviction, in rounds, for at most 12 requests.

    The start-time integer program of Jaillet et al., 2025, arXiv:2502.07115: x[i,k] = 1 iff request i starts at k,
    minimise the sum of (k + o - a) x; each starts once; at every time t, requests begun at k < t <= k + o hold
    s + t - k tokens, at most `memory` together. Solved exactly by HiGHS.

    Raises:
        CapacityError: a request can never fit.
        SoonestError: the instance is too large, or scipy is missing.
    """
    requests = list(zip(prompt, output, arrival, strict=True))
    if not 1 <= len(requests) <= MAX_REQUESTS:
        raise SoonestError(f"the optimum is for 1 to {MAX_REQUESTS} requests, got {len(requests)}")
    for i, (s, o, a) in enumerate(requests):
        if min(s, a) < 0 or o < 1:
            raise SoonestError(f"request {i}: need prompt >= 0, output >= 1 and arrival >= 0, got {s}, {o} and {a}")
        if s + o > memory:
            raise CapacityError(f"request {i} needs {s + o} tokens of memory, there are {memory}")
    first = min(arrival)
    rounds = max(arrival) - first + sum(output)  # one after another, all are done by then
    if rounds > MAX_ROUNDS:
        raise SoonestError(f"the optimum is for instances of at most {MAX_ROUNDS} rounds, this one may need {rounds}")
    starts = [range(a - first, rounds - o + 1) for _, o, a in requests]
    bounds = np.cumsum([0, *map(len, starts)])
    latency, once, held = np.zeros(bounds[-1]), np.zeros((len(requests), bounds[-1])), np.zeros((rounds, bounds[-1]))
    for i, ((s, o, a), (left, right)) in enumerate(zip(requests, pairwise(bounds), strict=True)):
        latency[left:right] = np.array(starts[i]) + o - (a - first)
        once[i, left:right] = 1
        for column, k in enumerate(starts[i], start=left):
            held[k : k + o, column] = s + np.arange(1, o + 1)  # row t - 1 is time t
    return _solve(latency, once, held, memory)


def _solve(latency: NDArray[np.float64], once: NDArray[np.float64], held: NDArray[np.float64], memory: int) -> int:
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 - an extra, loaded when asked for
    except ImportError as error:
        raise SoonestError("the optimum needs scipy: pip install 'soonest[theory]'") from error
    result: Any = milp(
        latency,
        integrality=np.ones_like(latency),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(once, 1, 1), LinearConstraint(held, -np.inf, memory)],
        options={"mip_rel_gap": 0.0},
    )
    if not result.success:
        raise SoonestError(f"the integer program was not solved: {result.message}")
    return round(float(result.fun))

"""Conditions of the map: what varies, and requests with forecasts of a stated quality."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.core import Forecast, Rules
from soonest.data import gamma
from soonest.sim import PRESETS, Beliefs, Options, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

REQUESTS: Final = 2000
LOADS: Final = (0.5, 0.7, 0.9, 1.0, 1.2)
BURSTINESS: Final = (4.0, 1.0, 0.25)
SLOTS: Final = (8, 64)
MEMORY: Final = (4.0, 0.4)
VARIATIONS: Final = (0.4, 1.0, 2.0)
TAUS: Final = (-1.0, -0.5, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PROMPT, OUTPUT, LONGEST = 200.0, 200.0, 4096
"""Mean tokens of a prompt and of an answer, and the longest of either."""
PROMPT_SIGMA: Final = 1.0
CLASSES: Final = 64
"""So many different forecasts are made: equally likely bins of what the forecaster sees."""
TAIL: Final = 3.0
"""Where the outermost bins end, in standard deviations."""
COVERAGE: Final = 0.9
BLOCK: Final = 16
NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Condition:
    """One place on the map.

    Attributes:
        load: share of the requests a second that the engine sustains with these lengths.
        burstiness: shape of the gamma gaps between arrivals; 1 is Poisson, less is burstier.
        slots: requests that run at once.
        memory: KV cache, as a multiple of what full slots hold on average.
        variation: coefficient of variation of the answers' lengths.
    """

    load: float = 0.9
    burstiness: float = 1.0
    slots: int = 64
    memory: float = 4.0
    variation: float = 1.0

    @property
    def sigma(self) -> float:
        """Of the logarithm of an answer's length."""
        return math.sqrt(math.log1p(self.variation**2))

    @property
    def options(self) -> Options:
        """The engine: vLLM's rules, and the step time derived for an H100 with 8 billion parameters."""
        tokens = self.memory * self.slots * (PROMPT + OUTPUT / 2)
        blocks = max(math.ceil(tokens / BLOCK), math.ceil((2 * LONGEST + 1) / BLOCK))
        return Options(Rules.vllm(self.slots, blocks=blocks, block_size=BLOCK), PRESETS["h100-8b"])


def conditions() -> Iterator[Condition]:
    """All places: every combination of the levels."""
    return (Condition(*levels) for levels in product(LOADS, BURSTINESS, SLOTS, MEMORY, VARIATIONS))


def lengths(condition: Condition, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Prompt tokens, output tokens and the standard scores of the latter's logarithms, each of shape (REQUESTS,)."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal(REQUESTS)
    prompts = _tokens(PROMPT, PROMPT_SIGMA, rng.standard_normal(REQUESTS))
    return prompts, _tokens(OUTPUT, condition.sigma, scores), scores


def workload(condition: Condition, rate: float, seed: int) -> tuple[Workload, NDArray[np.float64]]:
    """Requests at `rate` a second, with no forecasts yet, and the scores that forecasts are made from."""
    prompts, outputs, scores = lengths(condition, seed)
    at = gamma(REQUESTS, rate, condition.burstiness, seed + 1)
    nobody = Beliefs((Forecast.unknown(LONGEST),), np.zeros(REQUESTS, dtype=np.int32))
    return Workload(at, prompts, outputs, nobody), scores


def forecasts(
    condition: Condition, tau: float, scores: NDArray[np.float64], seed: int, stretch: float = 1.0
) -> Beliefs:
    """What a forecaster says that sees a signal of which Kendall's tau with the lengths is `tau`.

    The signal and the logarithm of the length are jointly normal with correlation sin(pi tau / 2). The forecast is the
    law of the length given the signal's bin, in three numbers: its central 90 % or a little more, and its mean; so it
    keeps its coverage, and is the same for all at tau 0. A forecaster with a negative tau reads its signal upside
    down. `stretch` times as wide, in logarithms, an interval is wider or narrower than it should be.
    """
    rho = math.sin(math.pi * tau / 2)
    noise = np.random.default_rng(seed).standard_normal(len(scores))
    signal = rho * scores + math.sqrt(1 - rho**2) * noise
    limits = np.array([-TAIL, *(NORMAL.inv_cdf(number / CLASSES) for number in range(1, CLASSES)), TAIL])
    spread = condition.sigma * math.sqrt(1 - rho**2)
    median = OUTPUT / math.exp(condition.sigma**2 / 2) * np.exp(condition.sigma * abs(rho) * limits)
    reach = math.exp(stretch * NORMAL.inv_cdf((1 + COVERAGE) / 2) * spread)
    means = np.sqrt(median[:-1] * median[1:]) * math.exp(spread**2 / 2)
    ends = zip(median[:-1] / reach, means, median[1:] * reach, strict=True)
    index = np.searchsorted(limits[1:-1], signal).astype(np.int32)
    return Beliefs(tuple(_told(*numbers) for numbers in ends), index)


def width(variation: float, tau: float) -> float:
    """Upper over lower end of a forecast's interval."""
    rho = math.sin(math.pi * tau / 2)
    spread = Condition(variation=variation).sigma * math.sqrt(1 - rho**2)
    return math.exp(2 * NORMAL.inv_cdf((1 + COVERAGE) / 2) * spread)


def _told(low: float, mean: float, high: float) -> Forecast:
    low, high = max(1.0, low), min(max(1.0, high), float(LONGEST))
    return Forecast.hint(min(low, high), min(max(low, mean), high), high)


def _tokens(mean: float, sigma: float, scores: NDArray[np.float64]) -> NDArray[np.int64]:
    tokens = mean * np.exp(sigma * scores - sigma**2 / 2)
    return np.clip(np.rint(tokens), 1, LONGEST).astype(np.int64)

"""Does the order of forecasts agree with the order of answers? A test that may be read after every answer."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

WINDOW: Final = 50
"""Earlier answers that each new one is ranked among."""
LEAST: Final = 5
STRETCH: Final = 250
RICH: Final = 1e9
"""More wealth says no more."""
BETS: Final = np.array([0.1, 0.25, 0.5, 0.75, 0.95])
"""Shares of the largest bet that stays solvent; the wealth is their mean."""


class Agreement:
    """Evidence about the rank agreement of forecasts and answers, one answer at a time.

    A new answer and its forecast each have a rank among the last `WINDOW`; centred and scaled to [-1, 1], their product
    is the score, whose mean under independence is zero: of exchangeable answers the sequential rank of the newest is
    uniform whatever came before (Barndorff-Nielsen, 1963). Its mean is a third of Spearman's correlation.

    A bettor starts with 1 and stakes on the score. `found` is wealth staked on a positive one: under independence it
    exceeds 1/a, in a stretch of `STRETCH` answers, with probability at most a (Ville, 1939); after each stretch it
    starts anew, so that a change can be found later. `lost` is wealth staked against a correlation of at least
    `least`, started anew whenever below 1: a predictor at least that good is given up once in 1/a answers or less often
    (an e-detector: Shin, Ramdas, Rinaldo, 2022, arXiv:2203.03532).
    """

    def __init__(self, least: float = 0.1) -> None:
        self.least = least
        self._past: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self.restart()

    def restart(self) -> None:
        """Forget the evidence, not the answers."""
        self._age = 0
        self._found = np.ones(len(BETS))
        self._lost = np.ones(len(BETS))

    def add(self, expected: float, tokens: int) -> None:
        """One answer and what was expected of it."""
        if len(self._past) >= LEAST:
            if self._age == STRETCH:
                self._age, self._found = 0, np.ones(len(BETS))
            self._age += 1
            score = 4 * self._rank(0, expected) * self._rank(1, tokens)
            mean = self.least / 3
            self._found *= 1 + BETS * score
            self._lost = np.clip(self._lost, 1.0, RICH) * (1 - BETS / (1 - mean) * (score - mean))
        self._past.append((expected, tokens))

    @property
    def found(self) -> float:
        """Wealth of the bet that the agreement is positive."""
        return float(self._found.mean())

    @property
    def lost(self) -> float:
        """Wealth of the bet that it is below `least`."""
        return float(self._lost.mean())

    def _rank(self, column: int, value: float) -> float:
        """The value's rank among the past, in [-1/2, 1/2]; ties count half."""
        past = [row[column] for row in self._past]
        below = sum(other < value for other in past) + sum(other == value for other in past) / 2
        return below / len(past) - 0.5

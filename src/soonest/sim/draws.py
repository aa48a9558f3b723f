"""Random draws that depend on nothing but the seed and what they are for, so every host draws the same."""

import math

MASK = (1 << 64) - 1


def draw(seed: int, job: int, attempt: int, purpose: int) -> float:
    """A uniform number in (0, 1] for this job, attempt and purpose (SplitMix64; Steele, Lea, Flood, 2014)."""
    state = _mix(_mix(_mix(_mix(seed) ^ job) ^ attempt) ^ purpose)
    return ((state >> 11) + 1) / (1 << 53)


def _mix(state: int) -> int:
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def pick(drawn: float, n: int) -> int:
    """Which of `n` places a uniform number in (0, 1] stands for."""
    return math.ceil(drawn * n) - 1


ROUTE = 0
"""Purpose: where a request goes."""
QUANTUM = 1
"""Purpose: how long an attempt may run."""
CLEAR = 2
"""Purpose, and any above it: who goes when an overflow clears the batch."""

"""Make the sample trace that comes with the package: synthetic chat calls, the same bytes every time.

Four tenants call at a rate that swells and ebbs over a quarter of an hour and is multiplied, every 20 seconds, by a
gamma draw of mean 1: bursts. Prompts are log-normal; answers are a mixture of short and long log-normal ones, in
shares that differ between tenants. A predicted class of length goes with each call, right in about 60 % of cases and
more often near than far where it is wrong.

    python benchmarks/make_sample.py [PATH]
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SAMPLE = Path(__file__).parents[1] / "src" / "soonest" / "data" / "sample" / "sample.csv"
CALLS = 1_500
SEED = 1
RATE = 2.0  # calls a second, on average
SWELL, PERIOD = 0.4, 900.0  # share of the rate, seconds
BURST_SHAPE, BURST_SECONDS = 2.0, 20.0
SHORT, LONG = (35.0, 0.7), (330.0, 0.6)  # median tokens and spread of the two kinds of answers
LONGEST_PROMPT, LONGEST_ANSWER = 8_192, 2_048
RIGHT = 0.6  # share of predicted classes that are right
LIMITS = (25, 50, 75, 99)  # percentiles between the five classes


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who calls: their share of the calls, their prompts, and how many of their answers are long."""

    name: str
    share: float
    prompt_median: float
    prompt_spread: float
    long_share: float


TENANTS = (
    Tenant("chat", 0.50, 180.0, 1.0, 0.45),
    Tenant("search", 0.30, 1_200.0, 0.5, 0.15),
    Tenant("code", 0.15, 700.0, 0.9, 0.60),
    Tenant("batch", 0.05, 2_500.0, 0.6, 0.90),
)


def make() -> str:
    """The sample as CSV text."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    arrivals = _arrivals(rng)
    tenants = rng.choice(len(TENANTS), size=CALLS, p=[tenant.share for tenant in TENANTS])
    prompts, answers = [], []
    for tenant in (TENANTS[i] for i in tenants):
        prompts.append(_length(rng, tenant.prompt_median, tenant.prompt_spread, LONGEST_PROMPT))
        answers.append(_length(rng, *(LONG if rng.random() < tenant.long_share else SHORT), LONGEST_ANSWER))
    limits = np.percentile(answers, LIMITS)
    lines = ["timestamp_s,prompt_tokens,output_tokens,client_id,predicted"]
    for arrival, prompt, answer, tenant_index in zip(arrivals, prompts, answers, tenants, strict=True):
        predicted = _guess(rng, int(np.searchsorted(limits, answer, side="right")))
        lines.append(f"{arrival:.3f},{prompt},{answer},{TENANTS[tenant_index].name},{predicted}")
    return "\n".join(lines) + "\n"


def _arrivals(rng: np.random.Generator) -> list[float]:
    """Times of a Poisson process whose rate swells and bursts; the first is 0."""
    times, now, burst, until = [0.0], 0.0, 1.0, 0.0
    while len(times) < CALLS:
        while now >= until:
            burst, until = rng.gamma(BURST_SHAPE) / BURST_SHAPE, until + BURST_SECONDS
        rate = RATE * burst * (1 + SWELL * math.sin(2 * math.pi * now / PERIOD))
        gap = rng.exponential() / rate
        if now + gap > until:  # the burst ends first; a Poisson process has no memory
            now = until
            continue
        now += gap
        times.append(now)
    return times


def _length(rng: np.random.Generator, median: float, spread: float, longest: int) -> int:
    return min(longest, max(1, round(median * rng.lognormal(0.0, spread))))


def _guess(rng: np.random.Generator, truth: int) -> int:
    """What a classifier would say: the truth, or another class, the nearer the likelier."""
    if rng.random() < RIGHT:
        return truth
    weights = np.array([0.0 if c == truth else 1 / (c - truth) ** 2 for c in range(len(LIMITS) + 1)])
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def main() -> int:
    """Write the sample, by default to its place in the package."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(make(), encoding="ascii", newline="\n")
    print(f"{path}: {CALLS} calls")
    return 0


if __name__ == "__main__":
    sys.exit(main())

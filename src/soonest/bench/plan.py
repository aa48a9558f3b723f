"""Which calls leave when: the prompts, the trace and the arrivals of `soonest sim`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from soonest.bench.call import Call
from soonest.core import Prompt, SimulationError
from soonest.data import drawn
from soonest.sim import Options
from soonest.studies.scenario import STRIDE, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.data import Trace

WORDS = "time year people way day man thing woman life child world school state family group country"
"""Of made-up prompts: each is one token to most tokenizers."""


@dataclass(frozen=True)
class Plan:
    """Calls of a repetition and their times, drawn as `soonest sim` draws them: the same seed, the same arrivals.

    `arrivals` is one of `soonest.studies.ARRIVALS`; the trace gives a replay's times.

    Raises:
        SimulationError: there is no call, or the arrivals are unknown.
    """

    calls: Sequence[Call]
    trace: Trace
    arrivals: str = "gamma"
    burstiness: float = 1.0
    repetitions: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.calls:
            raise SimulationError("there is no call to send")
        self._scenario(1)

    def wave(self, repetition: int, rate: float | None, requests: int) -> tuple[list[Call], NDArray[np.float64]]:
        """The calls of a repetition and their seconds from its start; `None` keeps a replay's own times.

        Raises:
            SimulationError: the arrivals need a rate.
        """
        rows = drawn(requests, len(self.calls), self.seed + repetition * STRIDE)
        workload = self._scenario(requests).workload(repetition, rate)
        return [self.calls[row] for row in rows.tolist()], workload.arrival

    def order(self, repetition: int, arms: int) -> list[int]:
        """The order in which a repetition runs its arms, so that none is always the first."""
        return [int(arm) for arm in np.random.default_rng([self.seed, repetition]).permutation(arms)]

    def counted(self, lengths: Mapping[int, int]) -> Plan:
        """With the measured tokens of these calls, by row; the others are left out."""
        return replace(self, calls=[replace(self.calls[row], tokens=tokens) for row, tokens in sorted(lengths.items())])

    def _scenario(self, requests: int) -> Scenario:
        return Scenario(
            self.trace,
            Options(),
            self.arrivals,
            requests,
            burstiness=self.burstiness,
            repetitions=self.repetitions,
            seed=self.seed,
        )


def calls_of(prompts: Sequence[Prompt], max_tokens: int, tokens: Sequence[int] | None = None) -> list[Call]:
    """Calls with these prompts; those that state no limit get this one. With `tokens`, their answers are forced."""
    limited = [p if p.max_tokens < 1 << 20 else replace(p, max_tokens=max_tokens) for p in prompts]
    if tokens is None:
        return [Call(prompt) for prompt in limited]
    return [Call(prompt, count, forced=True) for prompt, count in zip(limited, tokens, strict=True)]


def calls_like(trace: Trace, requests: int) -> list[Call]:
    """Calls with a trace's lengths: words that mean nothing, and answers of exactly the trace's tokens.

    A number stands first, so that no prompt is the beginning of another.
    """
    rows = np.resize(np.arange(len(trace)), requests).tolist()
    made = []
    for number, row in enumerate(rows):
        length, tokens = int(trace.prompt_tokens[row]), int(trace.output_tokens[row])
        text = " ".join([str(number), *islice(cycle(WORDS.split()), max(0, length - 1))])
        made.append(Call(Prompt.of(text, prompt_tokens=length, max_tokens=tokens), tokens, forced=True))
    return made

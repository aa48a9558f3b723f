"""What the simulator says of a live run before it is run: fitted step times, the same calls, the same forecasts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.bench.printing import shares
from soonest.core import StepTimeError
from soonest.report import Interval, interval
from soonest.sim import Options, StepTime, Workload, beliefs, saturation, simulate
from soonest.sim.steptime import SECOND, fit_steps
from soonest.studies.live import Live, loaded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.bench import Answer, Call, Ran
    from soonest.core import Prompt, Rules
    from soonest.predict import Predictor

LEAST: Final = 8
"""Tokens of the shortest answer whose pace counts: shorter ones are mostly one read of the socket."""
STARTUPS: Final = 12


@dataclass(frozen=True)
class Steps:
    """A fitted step time: how well it fits the paces it was fitted to, and what it says is sustained."""

    step_time: StepTime
    r2: float
    median_error: float
    rows: int
    sustained: float


def paces(ran: Ran) -> list[tuple[float, float, float, float]]:
    """Prefill tokens, sequences, context tokens and seconds of an iteration, each a mean over one answer's life.

    A running answer gets a token an iteration, so its mean gap is the mean iteration while it spoke; what ran beside it
    is known from the other answers.
    """
    done = [answer for answer in ran.answers if answer.done and len(answer.times) > 1]
    first = np.array([answer.times[0] for answer in done])
    last = np.array([answer.times[-1] for answer in done])
    prompts = np.array([answer.prompt_tokens for answer in done])
    spoken = np.array([answer.output_tokens for answer in done])
    rows = []
    for i in range(len(done)):
        if spoken[i] < LEAST:
            continue
        life, steps = last[i] - first[i], spoken[i] - 1
        beside = np.clip(np.minimum(last, last[i]) - np.maximum(first, first[i]), 0, None) / life
        middle = (np.maximum(first, first[i]) + np.minimum(last, last[i])) / 2
        said = spoken * np.clip((middle - first) / np.maximum(last - first, 1e-9), 0, 1)
        began = (first > first[i]) & (first < last[i])
        rows.append(
            (
                float(prompts[began].sum() / steps),
                float(beside.sum()),
                float((beside * (prompts + said)).sum()),
                float(life / steps),
            )
        )
    return rows


def fitted(runs: Iterable[Ran], rules: Rules, workload: Workload, capacity: float) -> Steps:
    """Step times from closed loops of several concurrencies.

    `startup`, the iterations that an admitted request waits in its place before its prefill, is the number with which
    the simulator sustains most nearly what was measured: it stands for the way from the gateway to the batch and back.
    """
    rows = np.array([row for ran in runs for row in paces(ran)])
    try:
        step_time = fit_steps(rows).steptime
    except StepTimeError:  # contexts that move with the batch: the batch alone explains as much
        step_time = without_context(rows)
    counts = [
        step_time.duration(0, 0, 0),
        step_time.per_prefill_token,
        step_time.per_sequence,
        step_time.per_context_token,
    ]
    told = np.column_stack([np.ones(len(rows)), rows[:, :3]]) @ np.array(counts) / SECOND
    best = min(
        (replace(step_time, startup=startup) for startup in range(STARTUPS)),
        key=lambda step: abs(saturation(workload, Options(rules, step)) - capacity),
    )
    seconds = rows[:, 3]
    r2 = 1 - float(((told - seconds) ** 2).sum() / ((seconds - seconds.mean()) ** 2).sum())
    error = float(np.median(np.abs(told - seconds) / seconds))
    return Steps(best, r2, error, len(rows), saturation(workload, Options(rules, best)))


def without_context(rows: NDArray[np.float64]) -> StepTime:
    """Least squares of an iteration, a sequence and a prefill token, none below 0."""
    design = np.column_stack([np.ones(len(rows)), rows[:, 0], rows[:, 1]])
    best, least = np.array([rows[:, 3].mean(), 0, 0]), np.inf
    for support in ([0], [0, 1], [0, 2], [0, 1, 2]):
        part = np.linalg.lstsq(design[:, support], rows[:, 3], rcond=None)[0]
        residual = float(np.linalg.norm(design[:, support] @ part - rows[:, 3]))
        if part.min() >= 0 and residual < least:
            best, least = np.zeros(3), residual
            best[support] = part
    return StepTime.linear(best[0], best[2], best[1])


def workload_of(calls: Sequence[Call], at: NDArray[np.float64], prompt_tokens: Mapping[str, int]) -> Workload:
    """A wave as the simulator takes it; prompt tokens as the engine counted them, by text."""
    prompts = np.array([prompt_tokens[call.prompt.text] for call in calls], dtype=np.int64)
    answers = np.array([call.tokens for call in calls], dtype=np.int64)
    return Workload(at, prompts, answers, beliefs("oracle", answers))


@dataclass
class Arms:
    """The arms as the simulator runs them, by label: a policy, and whether it is told the truth or asks a predictor.

    As live gateways do, each arm keeps its predictor through all waves, and it learns from one to the next.
    """

    arms: Mapping[str, tuple[str, bool]]
    options: Options
    predictors: Mapping[str, Predictor]

    @classmethod
    def of(cls, arms: Mapping[str, tuple[str, bool]], options: Options, folder: str) -> Arms:
        """With predictors from a folder."""
        asking = [label for label, (policy, knows) in arms.items() if policy != "fcfs" and not knows]
        return cls(arms, options, {label: loaded(folder) for label in asking})

    def warm(self, prompts: Sequence[Prompt], tokens: Sequence[int], cut: Sequence[bool]) -> None:
        """The warm-up: each predictor is asked, and taught."""
        for predictor in self.predictors.values():
            live = Live(predictor, prompts, latency=0.0, cut=cut)
            for job, count in enumerate(tokens):
                live.asked(job)
                live.ended(job, count, censored=False)

    def wave(self, workload: Workload, prompts: Sequence[Prompt], cut: Sequence[bool]) -> dict[str, float]:
        """Mean JCT in seconds of each arm; `cut` tells whose answer the limit ended."""
        found = {}
        for label, (policy, _) in self.arms.items():
            predictor = self.predictors.get(label)
            asked = None if predictor is None else Live(predictor, prompts, latency=0.0, cut=cut)
            result = simulate(workload, policy, self.options, forecaster=asked)
            found[label] = result.total_latency / len(workload)
        return found


@dataclass(frozen=True)
class Known:
    """What a closed loop told of each prompt, by text: the engine's count of its tokens, and whose answer was cut."""

    prompt_tokens: Mapping[str, int]
    cut: frozenset[str]

    @classmethod
    def of(cls, answers: Sequence[Answer], calls: Sequence[Call]) -> Known:
        """From its answers."""
        done = [(calls[answer.call].prompt.text, answer) for answer in answers if answer.done]
        return cls(
            {text: answer.prompt_tokens for text, answer in done},
            frozenset(text for text, answer in done if answer.finish == "length"),
        )


def shares_of(means: Mapping[str, Sequence[float]], repetitions: Iterable[int], oracle: str) -> dict[str, float]:
    """The arms' shares of the oracle's gain in mean JCT over these repetitions."""
    chosen, first = [*repetitions], next(iter(means))
    found = shares({label: float(np.mean([values[r] for r in chosen])) for label, values in means.items()}, oracle)
    return {label: share for label, share in found.items() if label != first}


def apart(
    label: str, came: Mapping[str, Sequence[float]], told: Mapping[str, Sequence[float]], oracle: str
) -> Interval | None:
    """By how many points an arm's share of the oracle's gain is above what was foretold of the same waves.

    A share is one of means over repetitions, so its 95 % confidence interval is a jackknife's: Student's t of what each
    repetition changes.
    """
    everything = range(len(came[label]))

    def points(repetitions: Sequence[int]) -> float:
        measured, foretold = (shares_of(means, repetitions, oracle).get(label, math.nan) for means in (came, told))
        return 100 * (measured - foretold)

    whole, n = points(everything), len(everything)
    if n < 2 or math.isnan(whole):
        return None
    without = [points([r for r in everything if r != left_out]) for left_out in everything]
    pseudo = interval([n * whole - (n - 1) * value for value in without])
    return Interval(whole, pseudo.half_width)

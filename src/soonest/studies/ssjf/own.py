"""The project's own forecasts under the same rules, on prompts whose text is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.core import SoonestError
from soonest.data import poisson
from soonest.data.examples import read_examples
from soonest.predict import predictor
from soonest.report import interval, paired_gain
from soonest.report.forecasts.rank import kendall_tau
from soonest.report.study import Chart, Curve, Grid, Section
from soonest.sim import Options, StepTime, Workload, saturation
from soonest.sim.forecasts import oracle, percentile_edges, real_classes
from soonest.studies.reproduction import spread
from soonest.studies.ssjf.corrected import FCFS, RULES, SJF, average, column, compared, plus_minus
from soonest.studies.ssjf.jobs import answers_in, files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.data.examples import Examples
    from soonest.report import Interval
    from soonest.report.study import Cell
    from soonest.sim.forecasts import Beliefs
    from soonest.studies.reproduction import Progress, Settings

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

PROMPTS: Final = "lengths/alpaca_vicuna7b.jsonl.gz"
ANSWER, OTHER = "output_tokens", "output_tokens_t07"
"""Columns: tokens of the model's answer, and of its other answer, at temperature 0.7."""
LEARN: Final = 5000
SERVE: Final = 12_000
"""Prompts to learn from (fewer in a smaller reproduction), and others at most, of which each run serves some."""
JOBS: Final = 2000
BERT, AGAIN = "BERT's five-class errors", "a second answer"
ARMS: Final = {
    FCFS: ("fcfs", SJF),
    SJF: ("shortest", SJF),
    AGAIN: ("shortest", AGAIN),
    "text, tokens": ("shortest", "text, tokens"),
    "text, five classes": ("shortest", "text, five classes"),
    "text, two classes": ("shortest", "text, two classes"),
    "history": ("shortest", "history"),
    BERT: ("shortest", BERT),
}
SHOWN: Final = (("no batching", 0.9), ("no batching", 1.2), ("dynamic B=4", 0.9), ("continuous B=4", 0.9))
"""Rules and loads."""


WORDS: Final = (
    "BERT's published predictions come without their prompts, so no other predictor can be fitted on the same. Here "
    "the prompts are Alpaca's and the lengths those of Vicuna-7B's answers: `text` and `history` learn from some of "
    "them and forecast others; two and five classes are the class in which `text` expects the answer. BERT stands "
    "beside them by its errors, drawn from its published confusion of classes. `a second answer` forecasts by the "
    "length of the same model's other answer to the prompt, so by what one other draw knows: a reader who knew the "
    "mean of all answers to a prompt would do better. Fine-tuning an encoder takes longer than a study may; its tasks "
    "are measured on the page of predictors."
)


class Told(NamedTuple):
    """Served answers' tokens, and by name what is forecast of each, to be ordered by: shape (n,)."""

    tokens: Ints
    forecasts: dict[str, Ints]


@dataclass(frozen=True, slots=True)
class _Task:
    told: Told
    rules: str
    load: float
    rate: float
    seed: int
    lengths: Path


class Outcome(NamedTuple):
    """What came of it: Kendall's tau over all answers that may be served, and what serving some of them took.

    `learned` and `answers` count prompts; `values` has, by rules and load, shape (repetitions, arms, measures).
    """

    learned: int
    answers: int
    tau: dict[str, float]
    values: dict[tuple[str, float], Floats]


class Split(NamedTuple):
    """Prompts to learn from and others to serve, and of the latter the tokens of the model's other answers."""

    learn: Examples
    serve: Examples
    again: Ints


def check(settings: Settings) -> None:
    """Refuse, before long work, a file that cannot be learned from and served.

    Raises:
        SoonestError: it is missing, malformed or too small.
    """
    _split(_prompts(settings), _learned(settings), *settings.seeds("own", 1))


def own_forecasts(repetitions: int, settings: Settings, progress: Progress) -> Outcome:
    """Fit on some Alpaca prompts, serve others: Vicuna-7B's answers, with Poisson arrivals."""
    lengths, _ = files(settings)
    learned = _learned(settings)
    work = partial(_told, _prompts(settings), learned)
    told = spread(work, settings.seeds("own", 1), settings, progress, "fitting `text`")[0]
    tasks = []
    for rules, load in SHOWN:
        rate = load * _sustained(rules, told.tokens)
        seeds = settings.seeds(f"own {rules} {load}", repetitions)
        tasks += [_Task(told, rules, load, rate, seed, lengths) for seed in seeds]
    found = spread(_work, tasks, settings, progress, "own forecasts")
    values = {shown: np.stack(found[i * repetitions : (i + 1) * repetitions]) for i, shown in enumerate(SHOWN)}
    truth = told.tokens
    tau = {name: kendall_tau(forecast.astype(np.float64), truth) for name, forecast in told.forecasts.items()}
    bert = real_classes(truth, answers_in(lengths).tokens, answers_in(lengths).predicted["five classes"])
    tau[BERT] = kendall_tau(_expected(bert), truth)
    return Outcome(learned, len(truth), tau, values)


def _prompts(settings: Settings) -> Path:
    return settings.file(PROMPTS, "prompts with Vicuna-7B's lengths")


def _learned(settings: Settings) -> int:
    return settings.repetitions(LEARN, 1000)


def _split(prompts: Path, count: int, seed: int) -> Split:
    """So many prompts to learn from, and others that none of them repeats."""
    rows, others = (read_examples(prompts, {"output_tokens": column}) for column in (ANSWER, OTHER))
    if rows.left_out or others.left_out:
        raise SoonestError(
            f"{prompts}: {rows.left_out} rows have no answer in {ANSWER!r} and {others.left_out} in {OTHER!r}, and "
            "this study needs both: leave such rows out of the file"
        )
    order = np.random.default_rng(seed).permutation(len(rows))
    learn, served = rows.take(order[:count]), order[count:][:SERVE]
    served = served[~np.isin(rows.groups[served], learn.groups)]
    if len(served) < JOBS:
        raise SoonestError(
            f"{prompts}: of {len(rows)} prompts {count} are learned from, which leaves {len(served)} others, and this "
            f"study serves {JOBS}: give more prompts"
        )
    return Split(learn, rows.take(served), others.tokens[served])


def _told(prompts: Path, count: int, seed: int) -> Told:
    """Forecasts of prompts that were not learned from."""
    learn, serve, again = _split(prompts, count, seed)
    expected = {}
    for name in ("text", "history"):
        made = predictor(name)
        made.fit(learn.prompts, learn.tokens.tolist(), learn.censored.tolist())
        expected[name] = np.array([forecast.expected for forecast in made.predict(serve.prompts)])
    edges = percentile_edges(learn.tokens)[1:-1]
    text = expected["text"]
    return Told(
        serve.tokens,
        {
            AGAIN: again,
            "text, tokens": np.maximum(1, np.rint(text).astype(np.int64)),
            "text, five classes": 1 + np.searchsorted(edges, text).astype(np.int64),
            "text, two classes": 1 + (text > np.median(learn.tokens)).astype(np.int64),
            "history": np.maximum(1, np.rint(expected["history"]).astype(np.int64)),
        },
    )


def _sustained(rules: str, tokens: Ints) -> float:
    work = Workload(np.zeros(len(tokens)), np.zeros_like(tokens), tokens, oracle(tokens))
    return saturation(work, Options(RULES[rules], StepTime.ssjf()))


def _work(task: _Task) -> Floats:
    rows = np.random.default_rng([task.seed, 0]).choice(len(task.told.tokens), JOBS, replace=False)
    tokens, bert = task.told.tokens[rows], answers_in(task.lengths)
    beliefs: Mapping[str, Beliefs] = {
        SJF: oracle(tokens),
        BERT: real_classes(tokens, bert.tokens, bert.predicted["five classes"], seed=task.seed),
        **{name: oracle(forecast[rows]) for name, forecast in task.told.forecasts.items()},
    }
    return compared(poisson(JOBS, task.rate, task.seed), tokens, beliefs, ARMS, RULES[task.rules], task.seed)


def _expected(beliefs: Beliefs) -> Floats:
    return np.array([forecast.expected for forecast in beliefs.table])[beliefs.index]


def section(found: Outcome) -> Section:
    """Every forecast under all rules shown, and the gain against rank agreement."""
    rows: list[tuple[Cell, ...]] = []
    curves = []
    repetitions = len(next(iter(found.values.values())))
    for (rules, load), values in found.values.items():
        shares = _shares(values)
        base = column(values, 0, "jct")
        for i, arm in enumerate(ARMS):
            gain = plus_minus(paired_gain(column(values, i, "jct"), base))
            tail, wait = average(column(values, i, "p99")), max(column(values, i, "max_wait"))
            mean, share = average(column(values, i, "jct")), plus_minus(shares[arm], 2)
            rows.append((rules, load, arm, found.tau.get(arm), mean, gain, share, tail, wait))
        ordered = sorted(found.tau, key=found.tau.__getitem__)
        x, y = tuple(found.tau[arm] for arm in ordered), tuple(shares[arm].mean for arm in ordered)
        curves.append(Curve(f"{rules}, load {load}", x, y))
    headings = (
        "batching", "load", "forecast", "Kendall's tau", "mean JCT s", "gain %", "share of SJF's gain", "p99 s",
        "max wait s",
    )  # fmt: skip
    covered = (
        f"The intervals cover which {JOBS} of {found.answers} answers are served, and when they come. `text` and "
        f"`history` learned once, from {found.learned} prompts: what another fit would change, they do not cover."
    )
    grid = Grid(f"Own forecasts: {JOBS} jobs, {repetitions} repetitions, Poisson arrivals", headings, tuple(rows))
    chart = Chart("What a better order is worth", "Kendall's tau", "share of SJF's gain", tuple(curves))
    return Section("Corrected: the project's own forecasts", (WORDS, covered), (grid,), (chart,))


def _shares(values: Floats) -> dict[str, Interval]:
    """By forecast, the share of the gain of an order by true length."""
    base, best = (column(values, list(ARMS).index(arm), "jct") for arm in (FCFS, SJF))
    found = {}
    for i, arm in enumerate(ARMS):
        rows = zip(base, column(values, i, "jct"), best, strict=True)
        found[arm] = interval([(b - x) / (b - s) for b, x, s in rows])
    return found

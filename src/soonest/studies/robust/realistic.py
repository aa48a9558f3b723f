"""The same policies on the way from the theory's rounds to an engine, with intervals that a predictor learned."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.core import Rules, SoonestError
from soonest.data import poisson
from soonest.report import interval as interval_of
from soonest.report import paired_gain
from soonest.report.study import Grid, Section
from soonest.sim import NEVER, PRESETS, Beliefs, Options, StepTime, Workload, beliefs, saturation, simulate
from soonest.sim.forecasts import oracle
from soonest.sim.workload import PICOSECONDS
from soonest.studies.reproduction import spread
from soonest.studies.robust.checks import gains, least, listed, plus_minus
from soonest.studies.robust.lengths import PATIENCE, rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.report import Interval
    from soonest.report.study import Cell
    from soonest.studies.reproduction import Progress, Settings

FILE: Final = "lengths/alpaca_vicuna7b.jsonl.gz"
ABOUT: Final = "prompts with the lengths of their answers"
PREDICTOR: Final = "conformal(text)"
LEARNED: Final = 5000
REQUESTS: Final = 3000
SEEDS: Final = 10
TOKENS: Final = 6400
"""Of KV cache."""
BLOCK: Final = 16
PAPER: Final = rules(TOKENS)
ENGINE: Final = replace(Rules.vllm(256, 2048, TOKENS // BLOCK, BLOCK), max_evictions=PATIENCE)
LOADS: Final = (0.9, 1.2)
FIT: Final = "soonest fit"
A_MAX: Final = "a_max"
INVENTED: Final = ("around(0.5)", "interval(1,512)")
ORACLE: Final = "oracle"
POLICIES: Final = (
    A_MAX,
    "a_min(stored, smallest)",
    "a_min(live, smallest)",
    "a_min",
    "a_ell",
    "two_point",
    "least_area",
)
"""One more policy is one more name."""
OTHERS: Final = ("shortest", "fcfs_reserve")
FIRST: Final = "fcfs"
HINDSIGHT: Final = "H-SF"


@dataclass(frozen=True, slots=True)
class Rung:
    """Conditions on the way to an engine; without a `load` all arrive at once."""

    name: str
    rules: Rules
    steps: StepTime
    load: float | None


RUNGS: Final = (
    Rung("rounds, all at once", PAPER, StepTime.unit(), None),
    Rung("arrivals over time", PAPER, StepTime.unit(), LOADS[-1]),
    Rung("linear step times", PAPER, PRESETS["h100-8b"], LOADS[-1]),
    Rung("recompute", replace(PAPER, restart=False), PRESETS["h100-8b"], LOADS[-1]),
    Rung("vLLM's rules", ENGINE, PRESETS["h100-8b"], LOADS[-1]),
)


class Served(NamedTuple):
    """Answers that the predictor has not learned from, and what it said of each; columns of shape (n,)."""

    prompts: NDArray[np.int64]
    outputs: NDArray[np.int64]
    told: Beliefs
    coverage: float
    width: float
    alpha: float


class Task(NamedTuple):
    """One workload under many policies."""

    rung: Rung
    sources: tuple[str, ...]
    seed: int
    served: Served


class Run(NamedTuple):
    """Mean, p99 and longest latency in seconds or rounds, and the share of requests that were evicted."""

    mean: float
    p99: float
    most: float
    evicted: float


class Found(NamedTuple):
    """Runs by rung, load, forecasts and policy; and what was served, seed by seed."""

    runs: Mapping[tuple[str, float | None, str, str], list[Run]]
    served: Sequence[Served]


def learned(path: Path, rows: int, seed: int) -> Served:
    """Fit as `soonest fit` does on some conversations, and forecast others; which, the seed draws from the whole file.

    Raises:
        SoonestError: the file has too few answers.
    """
    from soonest.data.examples import read_examples  # noqa: PLC0415 - heavy
    from soonest.predict import predictor  # noqa: PLC0415 - heavy

    known = read_examples(path)
    if len(known) <= rows + REQUESTS:
        raise SoonestError(f"{path}: {len(known)} answers, but {rows} to learn from and {REQUESTS} to serve are needed")
    learn, serve, _ = known.split((rows, REQUESTS, len(known) - rows - REQUESTS), seed)
    made = predictor(PREDICTOR)
    made.fit(learn.prompts, learn.tokens.tolist(), learn.censored.tolist())
    forecasts = made.predict(serve.prompts)
    low, high = (np.array([getattr(f, name) for f in forecasts]) for name in ("low", "high"))
    inside = (low <= serve.tokens) & (serve.tokens <= high)
    return Served(
        np.array([prompt.length for prompt in serve.prompts], dtype=np.int64),
        serve.tokens,
        Beliefs(tuple(forecasts), np.arange(len(forecasts), dtype=np.int32)),
        float(inside.mean()),
        float(np.median(high - low)),
        float(np.median(low / high)),
    )


def simulated(task: Task) -> dict[tuple[str, str], Run]:
    """Every policy under every source of forecasts, `fcfs` and H-SF, by source and policy."""
    rung, served = task.rung, task.served
    order = np.random.default_rng(task.seed).permutation(len(served.outputs))
    prompts, outputs = served.prompts[order], served.outputs[order]
    work = Workload(np.zeros(len(order)), prompts, outputs, oracle(outputs))
    options = Options(rung.rules, rung.steps, seed=task.seed)
    if rung.load is not None:
        work = work.at(poisson(len(order), rung.load * saturation(work, options), task.seed))
    found = {("", FIRST): _run(work, FIRST, options), (ORACLE, HINDSIGHT): _run(work, "a_min", options)}
    for source in task.sources:
        told = Beliefs(served.told.table, served.told.index[order]) if source == FIT else beliefs(source, outputs)
        case = work.believing(told)
        found |= {(source, words): _run(case, words, options) for words in (*POLICIES, *OTHERS)}
    return found


def _run(work: Workload, words: str, options: Options) -> Run:
    result = simulate(work, words, options, backend="kernel")
    if (result.finished == NEVER).any():
        return Run(math.inf, math.inf, math.inf, 1.0)
    latencies = (result.finished - work.arrival_ps) / PICOSECONDS
    return Run(
        float(latencies.mean()),
        float(np.percentile(latencies, 99)),
        float(latencies.max()),
        float((result.evictions > 0).mean()),
    )


def measure(settings: Settings, progress: Progress) -> Found:
    """All rungs with learned intervals, and the engine at two loads with other forecasts too."""
    path = settings.file(FILE, ABOUT)
    seeds = settings.seeds("realistic", settings.repetitions(SEEDS))
    fit = partial(learned, path, settings.repetitions(LEARNED, least=1000))
    every = spread(fit, seeds, settings, progress, "soonest fit")
    engines = [replace(RUNGS[-1], load=load) for load in LOADS]
    cases = [*((rung, (FIT,)) for rung in RUNGS[:-1]), *((engine, (FIT, *INVENTED)) for engine in engines)]
    tasks = [Task(*case, seed, served) for case in cases for seed, served in zip(seeds, every, strict=True)]
    runs: dict[tuple[str, float | None, str, str], list[Run]] = {}
    for task, found in zip(tasks, spread(simulated, tasks, settings, progress, "towards an engine"), strict=True):
        for (source, words), run in found.items():
            runs.setdefault((task.rung.name, task.rung.load, source, words), []).append(run)
    return Found(runs, every)


def section(found: Found) -> Section:
    """The way to an engine, and the engine."""
    coverage, width, alpha = (
        float(np.mean([getattr(served, what) for served in found.served])) for what in ("coverage", "width", "alpha")
    )
    told = (
        f"Real prompts and answers of Vicuna-7B, {len(found.served)} seeds. Each draws from one file whom to learn "
        f"from and about {REQUESTS:,} requests of others to serve: intervals cover both draws, though draws overlap. "
        f"Forecasts are those of `soonest fit` with `{PREDICTOR}`: intervals that promise 90 % cover "
        f"{100 * coverage:.0f} % and are {width:.0f} tokens wide in the median, alpha = {alpha:.2f}. {TOKENS:,} tokens "
        f"of KV cache, Poisson arrivals at load {LOADS[-1]:g} of what `fcfs` sustains; each column adds one condition "
        "to those before it."
    )
    engine = (
        "The engine has vLLM's rules and `h100-8b` step times: nothing is admitted after an eviction, and the evicted "
        "keep their tokens and are prefilled again. Gains are of mean latency over `fcfs` on the same requests. `H-SF` "
        "is `a_min` with the true lengths."
    )
    grids = (_ladder(found), *(_engine(found, load) for load in LOADS))
    return Section("In realistic conditions", (told, engine, _best(found)), grids)


def _ratio(found: Found, rung: Rung, words: str, source: str = FIT) -> Interval:
    """Mean latency over H-SF's in the same conditions."""
    mine, base = (found.runs[rung.name, rung.load, s, w] for s, w in ((source, words), (ORACLE, HINDSIGHT)))
    return interval_of([a.mean / b.mean for a, b in zip(mine, base, strict=True)])


def _gain(found: Found, load: float, source: str, words: str) -> Interval:
    """By how much the engine's mean latency falls, in per cent."""
    name = RUNGS[-1].name
    mine, base = (found.runs[name, load, s, w] for s, w in ((source, words), ("", FIRST)))
    return paired_gain([run.mean for run in mine], [run.mean for run in base])


def _ladder(found: Found) -> Grid:
    rows = [(f"`{FIRST}`", *(plus_minus(_ratio(found, rung, FIRST, ""), 2) for rung in RUNGS))]
    rows += [(f"`{p}`", *(plus_minus(_ratio(found, rung, p), 2) for rung in RUNGS)) for p in (*OTHERS, *POLICIES)]
    return Grid("Mean latency over H-SF's, learned intervals", ("policy", *(r.name for r in RUNGS)), tuple(rows))


def _engine(found: Found, load: float) -> Grid:
    rows = [_row(found, load, "", FIRST), _row(found, load, ORACLE, HINDSIGHT)]
    rows += [_row(found, load, s, p) for s in (FIT, *INVENTED) for p in (*OTHERS, *POLICIES)]
    headings = ("policy", "forecasts", "mean s", "gain %", "p99 s", "max s", "evicted %")
    return Grid(f"On an engine, load {load:g}", headings, tuple(rows))


def _row(found: Found, load: float, source: str, words: str) -> tuple[Cell, ...]:
    runs = found.runs[RUNGS[-1].name, load, source, words]
    evicted = 100 * float(np.mean([run.evicted for run in runs]))
    return (
        words if words == HINDSIGHT else f"`{words}`",
        source or "none",
        plus_minus(interval_of([run.mean for run in runs]), 2),
        plus_minus(_gain(found, load, source, words), 1),
        float(np.mean([run.p99 for run in runs])),
        max(run.most for run in runs),
        f"{evicted:.0f}",
    )


def _best(found: Found) -> str:
    said = []
    for load in LOADS:
        for source in (FIT, *INVENTED):
            runs = {p: found.runs[RUNGS[-1].name, load, source, p] for p in (*OTHERS, *POLICIES)}
            names = least({p: [run.mean for run in several] for p, several in runs.items()})
            said.append(f"{source} at load {load:g}: {listed(f'`{name}`' for name in names)}")
    return f"Least mean latency on the engine, with all whose paired difference from it may be 0: {'; '.join(said)}."


def stands(found: Found) -> list[str]:
    """How far from H-SF the orders of A_min are in the paper's rounds and on the engine, and what is gained there."""
    first, last = RUNGS[0], RUNGS[-1]
    orders = [p for p in POLICIES if p.startswith("a_min")]
    near, far = ([_ratio(found, rung, p).mean for p in orders] for rung in (first, last))
    reserving = [plus_minus(_ratio(found, rung, A_MAX), 2) for rung in (first, last)]
    on_engine = [
        f"at load {load:g} `{name}` {gains(_gain(found, load, FIT, name))}"
        for load in LOADS
        for name in (*OTHERS[:1], *orders, A_MAX)
    ]
    return [
        (
            f"Learned intervals: in rounds, all at once, the orders of A_min have {min(near):.2f} to {max(near):.2f} "
            f"times the mean latency of H-SF and `{A_MAX}` {reserving[0]} times; on the engine at load {last.load:g} "
            f"they have {min(far):.2f} to {max(far):.2f} times and it {reserving[1]} times."
        ),
        f"Learned intervals on the engine, mean latency against `{FIRST}`: {'; '.join(on_engine)}.",
    ]

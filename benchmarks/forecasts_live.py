"""Forecasts at work in the simulator: made on arrival, taught when answers end, judged by latency and by coverage.

    python -m benchmarks.forecasts_live --data ../shared/data --out benchmarks/results/forecasts_live.json

Real prompts and lengths on the real arrivals of `azure_conv_2023`, vLLM's rules with h100-8b step times, 256 slots and
20,000 tokens of KV cache; loads are shares of saturation. A predictor learns from other conversations than it serves.

- `gain`: mean JCT of `shortest` with each predictor, as a share of the oracle's gain over `fcfs`, with p99 and the
  longest wait; at loads 0.9 and 1.2, three seeds.
- `feedback`: coverage over all arrivals at load 1.2 under `shortest`, scored when the queue has drained, beside two
  naive ways: one correction from whatever has ended, and plain quantiles of the lengths of whatever has ended.
- `shift`: learned from Alpaca prompts, served MMLU-Pro's.
- `inverted`: a predictor that has the order upside down, and a card that says it is good.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from benchmarks.sets import SETS

from soonest.core import Forecast, Prompt, Rules
from soonest.data import read_trace
from soonest.predict import Card, Conformal, Constant, Online, Predictor, predictor
from soonest.predict.quantiles import forecast
from soonest.report import write_json
from soonest.report.forecasts import assess
from soonest.report.forecasts.rank import kendall_tau
from soonest.report.measures import jct
from soonest.sim import PRESETS, Options, Workload, beliefs, saturation, simulate
from soonest.studies.live import Live

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.data.examples import Examples
    from soonest.sim import Result

OPTIONS: Final = Options(Rules.vllm(256, 2048, 1250, 16), PRESETS["h100-8b"])
MOST: Final = 5000
LOADS: Final = (0.9, 1.2)
SEEDS: Final = 3
GAIN: Final = ("constant", "history", "text", "conformal(text)", "online(conformal(text), refit=inline)")


class Served(NamedTuple):
    """What is learned from, and the requests that are served, at their times."""

    learn: Examples
    serve: Examples
    workload: Workload


class Naive(Conformal):
    """One correction for all, from whatever has ended, in order of ending; who runs or waits is not looked at."""

    def __init__(self, base: Predictor) -> None:
        super().__init__(base, strata=1)

    def running(self, generated: Mapping[str, int]) -> None:
        """Looks away."""


class Ended(Predictor):
    """Ranks by the base; its interval is the central 90 % of the answers that have ended."""

    name = "ended"

    def __init__(self, base: Predictor) -> None:
        self.base, self.all_ = base, Constant(1000)

    def fit(self, prompts: Sequence[Prompt], tokens: Sequence[int], censored: Sequence[bool] | None = None) -> Ended:
        """Starts from these answers."""
        self.all_.fit(prompts, tokens, censored)
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The base's distribution, with the interval of the ended."""
        interval = self.all_.predict(prompts[:1])[0]
        ends = float(interval.low), float(interval.high)
        return [
            forecast(f.tokens, p.max_tokens, 0.9, ends)
            for p, f in zip(prompts, self.base.predict(prompts), strict=True)
        ]

    def update(self, prompt: Prompt, tokens: int, censored: bool = False) -> None:  # noqa: FBT001, FBT002
        """One more has ended."""
        self.all_.update(prompt, tokens, censored)


class Inverted(Predictor):
    """Upside down: the higher the base's expectation, the shorter the forecast."""

    name = "inverted"

    def __init__(self, base: Predictor) -> None:
        self.base = base

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The base's quantiles, divided by the square of its mean in units of 100 tokens."""
        return [
            forecast([t * (100 / max(f.expected, 1.0)) ** 2 for t in f.tokens], p.max_tokens)
            for p, f in zip(prompts, self.base.predict(prompts), strict=True)
        ]


def served(learn: Examples, serve: Examples, data: Path, load: float, seed: int) -> Served:
    """Requests in shuffled order on the trace's arrivals, sped up to a share of saturation."""
    chosen = serve.take(np.random.default_rng(seed).permutation(len(serve))[:MOST])
    trace = read_trace(data / "arrivals" / "azure_conv_2023.csv.gz").head(len(chosen))
    arrival = trace.arrival - trace.arrival[0]
    prompt_tokens = np.array([prompt.length for prompt in chosen.prompts])
    work = Workload(arrival, prompt_tokens, chosen.tokens, beliefs("oracle", chosen.tokens))
    rate = load * saturation(work, OPTIONS)
    return Served(learn, chosen, work.at(work.arrival * (work.rate / rate)))


def halves(name: str, data: Path, seed: int) -> tuple[Examples, Examples]:
    """What a set's predictor learns from, and what it serves: 75 to 25 for Alpaca, halves for smaller sets."""
    examples = next(s for s in SETS if s.name == name).read(data)
    learn, serve = examples.split((0.75, 0.25) if len(examples) > 9000 else (0.5, 0.5), seed)
    return learn, serve


def fitted(words: str, learn: Examples) -> Predictor:
    """A predictor that has learned, with a card where it learned enough to hold some back."""
    made = predictor(words)
    made.fit(learn.prompts, learn.tokens.tolist(), learn.censored.tolist())
    made.card_ = Card(learn.models, "benchmark", len(learn), None, {"kendall_tau": 0.3, "answers": 500})
    return made


def figures(result: Result) -> dict[str, float]:
    """Mean and p99 of the JCT and the longest wait before admission, in seconds."""
    records = result.records
    times, waits = jct(records), records.admitted - records.arrival
    return {"mean_jct": float(times.mean()), "p99_jct": float(np.percentile(times, 99)), "max_wait": float(waits.max())}


def gain(name: str, data: Path, load: float, seed: int) -> list[dict[str, object]]:
    """Each predictor under `shortest`, beside `fcfs` and the oracle."""
    case = served(*halves(name, data, seed), data, load, seed)
    first = figures(simulate(case.workload, "fcfs", OPTIONS))
    best = figures(simulate(case.workload, "shortest", OPTIONS))
    rows: list[dict[str, object]] = [
        {"policy": "fcfs", "forecast": "-", **first},
        {"policy": "shortest", "forecast": "oracle", **best, "share_of_oracle_gain": 1.0},
    ]
    arms = [("shortest", words) for words in GAIN]
    arms += [(p, "online(conformal(text), refit=inline)") for p in ("response_ratio(shortest)", "a_max", "a_min")]
    models: dict[str, Predictor] = {}
    for policy, words in arms:
        live = Live(fitted(words, case.learn), case.serve.prompts)
        models[words] = live.predictor
        found = figures(simulate(case.workload, policy, OPTIONS, forecaster=live))
        share = (first["mean_jct"] - found["mean_jct"]) / (first["mean_jct"] - best["mean_jct"])
        row = {"policy": policy, "forecast": words, **found, "share_of_oracle_gain": share}
        rows.append({**row, "unknown": float(np.mean([not f.known for f in live.forecasts])), "latency": live.latency})
    return [{"set": name, "load": load, "seed": seed, "requests": len(case.serve), **row} for row in rows]


def coverage(forecasts: Sequence[Forecast], serve: Examples, rows: slice = slice(None)) -> dict[str, float]:
    """Coverage over all arrivals with its clustered interval, rank agreement, and the share of unknown."""
    found = assess(forecasts[rows], serve.tokens[rows], serve.censored[rows], serve.groups[rows], serve.tokens).measures
    return {
        key: found[key] for key in ("coverage", "coverage_low", "coverage_high", "kendall_tau", "unknown", "width_mean")
    }


def feedback(name: str, data: Path, seed: int) -> list[dict[str, object]]:
    """Coverage at load 1.2 under `shortest`, ours and the naive way's."""
    case = served(*halves(name, data, seed), data, 1.2, seed)
    few = case.learn.take(range(min(len(case.learn), 1000)))
    base = fitted("text", case.learn.take(range(len(few), len(case.learn))))
    rows: list[dict[str, object]] = []
    for label, made in (
        ("conformal", Conformal(Still(base))),
        ("naive conformal", Naive(Still(base))),
        ("quantiles of the ended", Ended(base)),
    ):
        made.fit(few.prompts, few.tokens.tolist(), few.censored.tolist())
        live = Live(made, case.serve.prompts, latency=0.0)
        result = simulate(case.workload, "shortest", OPTIONS, forecaster=live)
        rows.append({"set": name, "seed": seed, "method": label, **coverage(live.forecasts, case.serve)})
        rows[-1]["most_waiting"] = result.most_waiting
    return rows


class Still(Predictor):
    """A predictor that has learned elsewhere: fitting it again changes nothing."""

    name = "still"

    def __init__(self, base: Predictor) -> None:
        self.base = base

    def fit(self, prompts: object, tokens: object, censored: object = None) -> Still:  # noqa: ARG002
        """Learns nothing."""
        return self

    def predict(self, prompts: Sequence[Prompt]) -> list[Forecast]:
        """The base's forecasts."""
        return self.base.predict(prompts)


def shift(data: Path, seed: int) -> dict[str, object]:
    """Learned from Alpaca, served MMLU-Pro at load 0.9 under `shortest`: the frozen model, and ours."""
    learn, _ = halves("alpaca_vicuna7b", data, seed)
    _, serve = next(s for s in SETS if s.name == "mmlu_pro").read(data).split((0.5, 0.5), seed)
    case = served(learn, serve, data, 0.9, seed)
    frozen = fitted("conformal(text)", learn)
    stale = frozen.predict(case.serve.prompts)
    online = Online(frozen, refit="inline")
    online.card_ = frozen.card_
    live = Live(online, case.serve.prompts, latency=0.0)
    simulate(case.workload, "shortest", OPTIONS, forecaster=live)
    window = slice(500, 2500)
    known = np.array([f.known for f in live.forecasts])
    expected = np.array([f.expected for f in live.forecasts])[window][known[window]]
    return {
        "seed": seed,
        "frozen": coverage(stale, case.serve, window),
        "online": coverage(live.forecasts, case.serve, window),
        "online_tau_of_known": kendall_tau(expected, case.serve.tokens[window][known[window]]),
        "first_unknown": int(np.argmin(known)),
        "known_again": int(np.argmin(known) + np.argmax(known[np.argmin(known) :])),
    }


def inverted(data: Path, load: float, seed: int) -> dict[str, object]:
    """A predictor upside down over 5,000 requests, alone and inside `online`, against `fcfs`."""
    case = served(*halves("alpaca_vicuna7b", data, seed), data, load, seed)
    first = figures(simulate(case.workload, "fcfs", OPTIONS))
    wrong = Inverted(fitted("text", case.learn))
    alone = figures(simulate(case.workload, "shortest", OPTIONS, forecaster=Live(wrong, case.serve.prompts, 0.0)))
    online = Online(wrong, refit="never")
    online.card_ = Card(measured={"kendall_tau": 0.5, "answers": 1000})
    live = Live(online, case.serve.prompts, 0.0)
    caught = figures(simulate(case.workload, "shortest", OPTIONS, forecaster=live))
    known = np.array([f.known for f in live.forecasts])
    silent = int(np.argmin(known))
    return {
        "load": load,
        "seed": seed,
        "alone_over_fcfs": alone["mean_jct"] / first["mean_jct"],
        "online_over_fcfs": caught["mean_jct"] / first["mean_jct"],
        "arrivals_to_find_out": silent,
        "seconds_to_find_out": float(case.workload.arrival[silent] - case.workload.arrival[0]),
        "known_after": float(known[silent:].mean()),
        "p99_over_fcfs": caught["p99_jct"] / first["p99_jct"],
    }


def main() -> None:
    """Run the parts, print as they come, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds lengths/ and arrivals/")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--parts", nargs="*", default=["gain", "feedback", "shift", "inverted"])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    found: dict[str, list[dict[str, object]]] = {part: [] for part in given.parts}
    for seed in range(given.seeds):
        for part in given.parts:
            if part == "gain":
                rows = [
                    r
                    for n in ("alpaca_vicuna7b", "sharegpt")
                    for load in LOADS
                    for r in gain(n, given.data, load, seed)
                ]
            elif part == "feedback":
                rows = [r for n in ("alpaca_vicuna7b", "sharegpt") for r in feedback(n, given.data, seed)]
            elif part == "shift":
                rows = [shift(given.data, seed)]
            else:
                rows = [inverted(given.data, load, seed) for load in LOADS]
            for row in rows:
                print(part, row, flush=True)
            found[part] += rows
    if given.out:
        command = (
            "python -m benchmarks.forecasts_live --data ../shared/data --out benchmarks/results/forecasts_live.json"
        )
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        write_json(given.out, {"command": command, "seeds": given.seeds, "versions": versions, **found})


if __name__ == "__main__":
    main()

"""Forecasts at work in the simulator: made on arrival, taught when answers end, judged by latency and by coverage.

    python -m benchmarks.forecasts_live --data ../shared/data --out benchmarks/results/forecasts_live.json

Real prompts and lengths on the real arrivals of `azure_conv_2023`, vLLM's rules with h100-8b step times, 256 slots and
6,400 tokens of KV cache; loads are shares of saturation. A predictor learns from other conversations than it serves.

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
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from benchmarks.rivals import Ended, Inverted, Naive, Still
from benchmarks.sets import SETS

from soonest.core import Forecast, Rules
from soonest.data import read_trace
from soonest.predict import Card, Conformal, Online, Predictor, predictor
from soonest.report import write_json
from soonest.report.forecasts import assess
from soonest.report.forecasts.rank import kendall_tau
from soonest.report.measures import jct
from soonest.sim import PRESETS, Options, Workload, beliefs, saturation, simulate
from soonest.studies.live import Live

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from soonest.data.examples import Examples
    from soonest.sim import Result

OPTIONS: Final = Options(Rules.vllm(256, 2048, 400, 16), PRESETS["h100-8b"])
NAMES: Final = ("alpaca_vicuna7b", "sharegpt")
MOST: Final = 5000
LOADS: Final = (0.9, 1.2)
SEEDS: Final = 3
ONLINE: Final = "online(conformal(text), every=1000, refit=inline)"
GAIN: Final = (
    *(("shortest", words) for words in ("constant", "history", "text", "conformal(text)", ONLINE)),
    *((policy, "conformal(text)") for policy in ("response_ratio(shortest)", "a_max", "a_min")),
)


class Served(NamedTuple):
    """What is learned from, and the requests that are served, at their times."""

    learn: Examples
    serve: Examples
    workload: Workload


def served(learn: Examples, serve: Examples, data: Path, load: float, seed: int, most: int = MOST) -> Served:
    """Requests in shuffled order on the trace's arrivals, sped up to a share of saturation."""
    chosen = serve.take(np.random.default_rng(seed).permutation(len(serve))[:most])
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


def fitted(words: str, learn: Examples, place: Path) -> Predictor:
    """A predictor that has learned: fitted once, kept in a folder, and loaded from it for every run."""
    kept = place / f"{words}-{learn.tokens[:50].sum()}-{len(learn)}".replace("/", "_")
    if not kept.exists():
        made = predictor(words)
        made.fit(learn.prompts, learn.tokens.tolist(), learn.censored.tolist())
        made.card_ = Card(learn.models, "benchmark", len(learn), None, {"kendall_tau": 0.3, "answers": 500})
        made.save_pretrained(kept)
    return Predictor.from_pretrained(kept)


def online(words: str, learn: Examples, place: Path) -> Predictor:
    """A predictor by its words; what `online` wraps is fitted as if it stood alone."""
    outer = predictor(words)
    if not isinstance(outer, Online):
        return fitted(words, learn, place)
    outer.base = fitted("conformal(text)", learn, place)
    return outer


def figures(result: Result) -> dict[str, float]:
    """Mean and p99 of the JCT and the longest wait before admission, in seconds."""
    records = result.records
    times, waits = jct(records), records.admitted - records.arrival
    return {"mean_jct": float(times.mean()), "p99_jct": float(np.percentile(times, 99)), "max_wait": float(waits.max())}


def gain(name: str, data: Path, load: float, seed: int, place: Path) -> list[dict[str, object]]:
    """Each predictor under `shortest`, beside `fcfs` and the oracle."""
    case = served(*halves(name, data, seed), data, load, seed)
    first = figures(simulate(case.workload, "fcfs", OPTIONS))
    best = figures(simulate(case.workload, "shortest", OPTIONS))
    rows: list[dict[str, object]] = [
        {"policy": "fcfs", "forecast": "-", **first},
        {"policy": "shortest", "forecast": "oracle", **best, "share_of_oracle_gain": 1.0},
    ]
    for policy, words in GAIN:
        live = Live(online(words, case.learn, place), case.serve.prompts)
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


def feedback(name: str, data: Path, seed: int, place: Path) -> list[dict[str, object]]:
    """Coverage at load 1.2 under `shortest`, ours and the naive way's."""
    case = served(*halves(name, data, seed), data, 1.2, seed)
    few = case.learn.take(range(min(len(case.learn), 1000)))
    base = fitted("text", case.learn.take(range(len(few), len(case.learn))), place)
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


def shift(data: Path, seed: int, place: Path) -> dict[str, object]:
    """Learned from Alpaca, served MMLU-Pro at load 0.9 under `shortest`: the frozen model, and ours."""
    learn, _ = halves("alpaca_vicuna7b", data, seed)
    _, serve = next(s for s in SETS if s.name == "mmlu_pro").read(data).split((0.5, 0.5), seed)
    case = served(learn, serve, data, 0.9, seed, most=2600)
    frozen = fitted("conformal(text)", learn, place)
    stale = frozen.predict(case.serve.prompts)
    live = Live(Online(frozen, refit="inline"), case.serve.prompts, latency=0.0)
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


def inverted(data: Path, load: float, seed: int, place: Path) -> dict[str, object]:
    """A predictor upside down over 5,000 requests, alone and inside `online`, against `fcfs`."""
    case = served(*halves("alpaca_vicuna7b", data, seed), data, load, seed)
    first = figures(simulate(case.workload, "fcfs", OPTIONS))
    wrong = Inverted(fitted("text", case.learn, place))
    alone = figures(simulate(case.workload, "shortest", OPTIONS, forecaster=Live(wrong, case.serve.prompts, 0.0)))
    hushed = Online(wrong, refit="never")
    hushed.card_ = Card(measured={"kendall_tau": 0.5, "answers": 1000})
    live = Live(hushed, case.serve.prompts, 0.0)
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


def rows_of(part: str, data: Path, seed: int, place: Path) -> Iterator[dict[str, object]]:
    """One part at one seed."""
    if part == "shift":
        yield shift(data, seed, place)
    elif part == "inverted":
        yield from (inverted(data, load, seed, place) for load in LOADS)
    elif part == "feedback":
        yield from (row for name in NAMES for row in feedback(name, data, seed, place))
    else:
        yield from (row for name in NAMES for load in LOADS for row in gain(name, data, load, seed, place))


def main() -> None:
    """Run the parts, print as they come, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds lengths/ and arrivals/")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--parts", nargs="*", default=["gain", "feedback", "shift", "inverted"])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    found: dict[str, list[dict[str, object]]] = {part: [] for part in given.parts}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for seed, part in product(range(given.seeds), given.parts):
            for row in rows_of(part, given.data, seed, place):
                print(part, row, flush=True)
                found[part].append(row)
    if given.out:
        command = (
            "python -m benchmarks.forecasts_live --data ../shared/data --out benchmarks/results/forecasts_live.json"
        )
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        write_json(given.out, {"command": command, "seeds": given.seeds, "versions": versions, **found})


if __name__ == "__main__":
    main()

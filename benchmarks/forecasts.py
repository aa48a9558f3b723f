"""How good forecasts are: rank agreement, intervals and speed, on real prompts; the table that the docs show.

    python -m benchmarks.forecasts --data ../shared/data --out benchmarks/results/forecasts.json

For each set: three seeds; sets over 9,000 rows are split 75 to 25, smaller ones into four folds, by prompt or
conversation, never by row. Each predictor learns on one side and is measured on the other; figures are means over seeds
and folds, but coverage, which is pooled over all tested answers, with an interval clustered by conversation. On
`alpaca_eval` rank agreement is the mean over the six models. Speed is of one thread. Rows of an earlier run that
are not measured again stay in the file; `date` says when a row was measured, and those without one are of 2026-11-21.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from benchmarks.sets import SETS, Set, folds

from soonest.predict import predictor
from soonest.report import write_json
from soonest.report.forecasts import Training, assess, speed
from soonest.report.forecasts.rank import kendall_tau

if TYPE_CHECKING:
    from soonest.core import Forecast
    from soonest.data.examples import Examples

WORDS: Final = ("constant", "conformal(constant)", "history", "text", "conformal(text)", "ensemble(text, history)")
SEEDS: Final = 3
MEASURES: Final = (
    "kendall_tau", "spearman", "pairwise_accuracy", "mae", "mae_constant", "rmse", "rmse_constant", "accuracy",
    "macro_f1", "pinball", "interval_score", "width_mean", "unknown", "censored", "calibration_error",
)  # fmt: skip


def measure(chosen: Set, words: str, data: Path, seeds: int) -> dict[str, object]:
    """One predictor on one set."""
    examples = chosen.read(data)
    rows: list[dict[str, float]] = []
    pooled: list[tuple[Forecast, int, bool, int]] = []
    seconds = []
    for seed in range(seeds):
        for learn, test in folds(examples, seed):
            started = time.perf_counter()
            fitted = predictor(words).fit(learn.prompts, learn.tokens.tolist(), learn.censored.tolist())
            seconds.append(time.perf_counter() - started)
            forecasts = fitted.predict(test.prompts)
            found = assess(forecasts, test.tokens, test.censored, test.groups, learn.tokens).measures
            rows.append({**{key: found[key] for key in MEASURES}, "kendall_tau": tau(forecasts, test)})
            pooled += zip(forecasts, test.tokens.tolist(), test.censored.tolist(), test.groups.tolist(), strict=True)
    columns = [list(column) for column in zip(*pooled, strict=True)]
    whole = assess(columns[0], columns[1], columns[2], columns[3], Training.of(examples.tokens))
    return {
        "set": chosen.name,
        "predictor": words,
        "date": time.strftime("%Y-%m-%d"),
        "examples": len(examples),
        "fit_seconds": round(float(np.median(seconds)), 1),
        **{key: round(float(np.mean([row[key] for row in rows])), 4) for key in MEASURES},
        "kendall_tau_by_seed": np.round([row["kendall_tau"] for row in rows], 4)
        .reshape(seeds, -1)
        .mean(axis=1)
        .tolist(),
        **{key: round(whole.measures[key], 4) for key in ("coverage", "coverage_low", "coverage_high")},
        "coverage_by_decile": [round(part.coverage, 3) for part in whole.deciles],
        "target": chosen.target if words == "text" else None,
        "baseline": chosen.baseline,
    }


def tau(forecasts: list[Forecast], test: Examples) -> float:
    """Kendall's tau-b, the mean over the models that answered."""
    expected = np.array([forecast.expected for forecast in forecasts])
    models = np.array([prompt.model for prompt in test.prompts])
    return float(np.mean([kendall_tau(expected[models == m], test.tokens[models == m]) for m in np.unique(models)]))


def speeds(data: Path) -> list[dict[str, object]]:
    """Microseconds of one forecast from chat messages, and of one update, on the prompts of each set."""
    rows: list[dict[str, object]] = []
    for chosen in SETS:
        learn, test = next(folds(chosen.read(data), 0))
        learn = learn.take(range(min(len(learn), 4000)))
        for words in ("constant", "history", "text", "conformal(text)", "online(conformal(text), refit=never)"):
            fitted = predictor(words).fit(learn.prompts, learn.tokens.tolist(), learn.censored.tolist())
            taken = []
            for i, (asked, tokens) in enumerate(zip(test.prompts[:1000], test.tokens.tolist(), strict=False)):
                prompt = replace(asked, id=str(i))
                fitted.predict([prompt])
                started = time.perf_counter()
                fitted.update(prompt, tokens)
                taken.append(1e6 * (time.perf_counter() - started))
            updates = dict(
                zip(("us_update_p50", "us_update_p99"), np.percentile(taken, (50, 99)).tolist(), strict=True)
            )
            found = {**speed(fitted.predict, test.prompts), **updates}
            rows.append(
                {
                    "set": chosen.name,
                    "predictor": words,
                    "date": time.strftime("%Y-%m-%d"),
                    **{k: round(v, 1) for k, v in found.items()},
                }
            )
            print(rows[-1], flush=True)
    return rows


def merged(before: list[dict[str, object]], found: list[dict[str, object]]) -> list[dict[str, object]]:
    """Rows of both by set and predictor, the later ones where both have one; a set's stand together."""
    rows = {(row["set"], row["predictor"]): row for row in (*before, *found)}
    order = {chosen.name: place for place, chosen in enumerate(SETS)}
    return sorted(rows.values(), key=lambda row: order[str(row["set"])])


def main() -> None:
    """Measure, print a line a row, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds lengths/")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--sets", nargs="*", default=[s.name for s in SETS])
    parser.add_argument("--predictors", nargs="*", default=list(WORDS))
    parser.add_argument("--speed", action=argparse.BooleanOptionalAction, default=True, help="time them too")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = []
    for chosen in SETS:
        for words in given.predictors if chosen.name in given.sets else ():
            rows.append(measure(chosen, words, given.data, given.seeds))
            shown = ("kendall_tau", "coverage", "coverage_low", "coverage_high", "interval_score", "fit_seconds")
            print(chosen.name, words, {key: rows[-1][key] for key in shown}, flush=True)
    timed = speeds(given.data) if given.speed else []
    if given.out:
        if given.out.exists():
            before = json.loads(given.out.read_text(encoding="utf-8"))
            rows, timed = merged(before["rows"], rows), merged(before["speed"], timed)
        command = "python -m benchmarks.forecasts --data ../shared/data --out benchmarks/results/forecasts.json"
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        write_json(
            given.out, {"command": command, "seeds": given.seeds, "versions": versions, "rows": rows, "speed": timed}
        )


if __name__ == "__main__":
    main()

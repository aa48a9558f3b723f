"""`soonest fit-steps`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fit_steps(
    measured: Annotated[
        Path,
        typer.Argument(help="CSV of measured iterations: prefill_tokens, sequences, context_tokens, seconds."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the model here, for `sim --step-time FILE`.")
    ] = None,
) -> None:
    """Fit how long an engine's iterations take, from measured ones.

    The model is linear: seconds per iteration, per sequence in the batch, per prompt token computed, and per token of
    context attended to. Measure iterations of different batch sizes, prompts and contexts, or
    they cannot be told apart.

    Example: `soonest fit-steps measured.csv --out engine.json`
    """
    from rich.console import Console
    from rich.table import Table

    from soonest.sim.steptime import SECOND, fit_steps, read_steps

    fit = fit_steps(read_steps(measured))
    table = Table("coefficient", "microseconds", title=f"{fit.n} iterations, R² {fit.r2:.4f}")
    for name in ("iteration", "per_sequence", "per_prefill_token", "per_context_token"):
        table.add_row(name, f"{getattr(fit.steptime, name) / SECOND * 1e6:.6g}")
    Console().print(table)
    typer.echo(f"error of an iteration: median {100 * fit.median_error:.2g} %, p99 {100 * fit.p99_error:.2g} %")
    if out is not None:
        fit.steptime.save(out)
        typer.echo(f"wrote {out}", err=True)

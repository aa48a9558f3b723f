"""The flags of `soonest reproduce`, with what each says in `--help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soonest.cli.flags import OUTPUT, RUNS, option

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME...",
        help="`ssjf`: shortest forecast first (Qiu et al., 2024, arXiv:2404.08509). `robust`: interval forecasts "
        "(Chen et al., 2025, arXiv:2508.14544). `map`: when it helps. `beyond`: what goes beyond the papers.",
        show_default=False,
    ),
]
All = Annotated[bool, option("Everything, one after the other.", RUNS, "--all")]
Quick = Annotated[
    bool,
    option(
        "A tenth of the repetitions, or as few as an interval needs: whether it works, in a minute or two; wider "
        "intervals.",
        RUNS,
        "--quick",
    ),
]
Seed = Annotated[int, option("Seed of everything random; the same seed gives the same figures.", RUNS, "--seed")]
Workers = Annotated[
    int | None,
    option("Processes that share the work, which changes no figure; one a core unless set.", RUNS, "--workers"),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="SOONEST_DATA",
        help="Folder of the data sets: `arrivals/` and `lengths/`.",
        rich_help_panel=RUNS,
    ),
]
Out = Annotated[
    Path | None, option("Folder to write each study into, as reproduce_NAME.json; made if need be.", OUTPUT, "--out")
]

"""The flags of `soonest fit`, `eval` and `predict`, with what each says in `--help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soonest.cli.flags import option

DATA, LEARNING, OUTPUT = "Data", "Learning", "Output"

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Prompts with the lengths of their answers: JSONL, CSV, a JSON list or Parquet.", metavar="FILE..."
    ),
]
File = Annotated[Path, typer.Argument(help="Prompts with the lengths of their answers, as `soonest fit` reads them.")]
Column = Annotated[
    list[str],
    option(
        "ROLE=COLUMN where the guess is wrong, e.g. `prompt=question` or `output_tokens=usage.completion_tokens`; "
        "`ROLE=` is none; repeatable.",
        DATA,
        "--column",
        "-c",
    ),
]
Journal = Annotated[
    str | None,
    option(
        "Learn from a gateway's journal too, or alone: a file, or postgresql://USER@HOST/DATABASE; needs prompts in "
        "it (`soonest serve --journal-prompts`).",
        DATA,
        "--journal",
    ),
]
Model = Annotated[str | None, option("Only this model's answers.", DATA, "--model")]
Cut = Annotated[
    int | None, option("Answers of so many tokens or more were cut there by a limit, so may be longer.", DATA, "--cut")
]
Limit = Annotated[int | None, option("Read only so many answers of each file.", DATA, "--limit", "-n")]
Seed = Annotated[int, option("Seed of the split.", LEARNING, "--seed")]
Markdown = Annotated[bool, option("Print the table as Markdown.", OUTPUT, "--markdown")]

PredictorWords = Annotated[
    str,
    option(
        "What to fit, e.g. `conformal(text)`, `online(conformal(text))` or `history`.", LEARNING, "--predictor", "-p"
    ),
]
Out = Annotated[Path, option("Folder that the predictor is written into.", OUTPUT, "--out", "-o")]
TestShare = Annotated[
    float,
    option("Share of the answers held out and measured on; conversations stay whole.", LEARNING, "--test-share"),
]


def check_share(share: float) -> None:
    """Refuse a share of answers that holds out none, or all.

    Raises:
        PredictorError: it is not between 0 and 1.
    """
    from soonest.core import PredictorError

    if not 0 < share < 1:
        raise PredictorError(f"--test-share must lie between 0 and 1, got {share:g}")


Contestants = Annotated[
    list[str],
    typer.Argument(
        default_factory=list,
        show_default=False,
        help="Folders made by `soonest fit`, OWNER/NAME of a hub, or words such as `constant`, which are fitted first.",
        metavar="PREDICTOR...",
    ),
]
HeldOut = Annotated[
    float | None,
    option(
        "Measure only on this share, as `fit` held it out with the same seed; words learn from the rest. All rows "
        "unless set, or 0.2 if there are words.",
        LEARNING,
        "--test-share",
    ),
]
Json = Annotated[bool, option("Print every number as JSON instead of the table.", OUTPUT, "--json")]
Plot = Annotated[Path | None, option("Draw the calibration plot: FILE.png.", OUTPUT, "--plot")]

Folder = Annotated[str, typer.Argument(help="Folder made by `soonest fit`, or OWNER/NAME of a hub.", metavar="DIR")]
Text = Annotated[str | None, typer.Argument(help="The prompt; without it and --file, stdin is read.", metavar="TEXT")]
PromptFile = Annotated[
    Path | None,
    option(
        "Prompts from a file as `soonest fit` reads them, or one a line if its name ends in .txt.", DATA, "--file", "-f"
    ),
]
AskedModel = Annotated[
    str | None, option("The model that will answer, where the prompt does not say.", DATA, "--model")
]
MaxTokens = Annotated[int | None, option("The limit of the answer, in tokens.", DATA, "--max-tokens")]
JsonLines = Annotated[bool, option("Print one JSON object a line.", OUTPUT, "--json")]
ShowText = Annotated[bool, option("Print each prompt's text too.", OUTPUT, "--show-text")]

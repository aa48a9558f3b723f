"""`soonest fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soonest.cli.forecasts import flags

if TYPE_CHECKING:
    from pathlib import Path


def fit(
    files: flags.Files,
    out: flags.Out,
    predictor: flags.PredictorWords = "conformal(text)",
    column: flags.Column = [],  # noqa: B006 - Typer copies it
    model: flags.Model = None,
    cut: flags.Cut = None,
    limit: flags.Limit = None,
    test_share: flags.TestShare = 0.2,
    seed: flags.Seed = 0,
    markdown: flags.Markdown = False,
) -> None:
    """Learn to forecast lengths from prompts and the lengths of their answers; measure that on answers held out.

    The columns of the files are guessed and told; conversations are held out whole. The folder holds no pickle and no
    code; its card says what was measured.

    Examples:
    `soonest fit chats.jsonl --out forecasts`

    `soonest fit a.parquet b.csv --predictor history --column prompt=question --cut 2048 --out forecasts`
    """
    from soonest.cli.forecasts import measuring
    from soonest.cli.forecasts.printing import print_measures
    from soonest.core import PredictorError
    from soonest.predict import predictor as make
    from soonest.report.forecasts import Training

    if not 0 < test_share < 1:
        raise PredictorError(f"--test-share must lie between 0 and 1, got {test_share:g}")
    _check_folder(out)
    made = make(predictor)
    examples = measuring.read(files, column, model, limit, cut)
    train, test = examples.split((1 - test_share, test_share), seed)
    measuring.fitted(made, predictor, train)
    found = measuring.measured(made, test, Training.of(train.tokens))
    made.card_ = measuring.card_of(files, train, found)
    made.save_pretrained(out)
    print_measures({predictor: found.measures}, markdown=markdown)
    measuring.say(f"wrote {out}")


def _check_folder(out: Path) -> None:
    """Refuse, before long work, a folder that cannot become a predictor's."""
    from soonest.core import PredictorError

    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "config.json").is_file()):
        raise PredictorError(f"{out}: is there and holds no predictor: choose another folder")

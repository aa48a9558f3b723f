"""`soonest fit`."""

from __future__ import annotations

from pathlib import Path

from soonest.cli.cluster import Ray, cluster
from soonest.cli.forecasts import flags


def fit(
    out: flags.Out,
    files: flags.Files = None,
    journal: flags.Journal = None,
    predictor: flags.PredictorWords = "conformal(text)",
    column: flags.Column = [],  # noqa: B006 - Typer copies it
    model: flags.Model = None,
    cut: flags.Cut = None,
    limit: flags.Limit = None,
    test_share: flags.TestShare = 0.2,
    seed: flags.Seed = 0,
    ray: Ray = None,
    markdown: flags.Markdown = False,
) -> None:
    """Learn to forecast lengths from prompts and the lengths of their answers; measure that on answers held out.

    The columns of the files are guessed and told; conversations are held out whole. The folder holds no pickle and no
    code; its card says what was measured.

    Examples:
    `soonest fit chats.jsonl --out forecasts`

    `soonest fit a.parquet b.csv --predictor history --column prompt=question --cut 2048 --out forecasts`

    `soonest fit --journal journal.db --out forecasts`
    """
    from tempfile import TemporaryDirectory

    from soonest.cli.forecasts import measuring, streaming
    from soonest.cli.forecasts.printing import print_measures
    from soonest.core import PredictorError
    from soonest.predict import predictor as make
    from soonest.report.forecasts import Training

    flags.check_share(test_share)
    files = files or []
    if not files and journal is None:
        raise PredictorError("give a FILE of prompts and lengths, or --journal")
    if not files and cut is not None:
        raise PredictorError("--cut is for files: a journal knows which answers were cut")
    _check_folder(out)
    made = make(predictor)
    if ray is not None:
        streaming.check(made, predictor, files)
    told = [] if journal is None else [measuring.read_told(journal, model, limit)]
    with TemporaryDirectory(prefix="soonest-fit-", ignore_cleanup_errors=True) as folder:
        if ray is None:
            examples = measuring.read(files, column, model, limit, cut, told)
        else:
            with cluster(ray):
                examples = streaming.read(Path(folder), files, column, model, limit, cut, told)
        train, test = examples.split((1 - test_share, test_share), seed)
        measuring.fitted(made, predictor, train)
        timed = None if ray is None else streaming.prompts(files, column, model, cut)
        found = measuring.measured(made, test, Training.of(train.tokens), timed)
    made.card_ = measuring.card_of([*files, *([Path("journal")] if told else [])], train, found)
    made.save_pretrained(out)
    print_measures({predictor: found.measures}, markdown=markdown)
    measuring.say(f"wrote {out}")


def _check_folder(out: Path) -> None:
    """Refuse, before long work, a folder that cannot become a predictor's."""
    from soonest.core import PredictorError

    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "config.json").is_file()):
        raise PredictorError(f"{out}: is there and holds no predictor: choose another folder")

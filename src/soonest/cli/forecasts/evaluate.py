"""`soonest eval`."""

from __future__ import annotations

import json as jsons
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from soonest.cli.flags import Html
from soonest.cli.forecasts import flags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.data.examples import Examples
    from soonest.predict import Predictor
    from soonest.report.forecasts import Assessment


def evaluate(
    predictors: flags.Contestants,
    file: flags.File,
    column: flags.Column = [],  # noqa: B006 - Typer copies it
    model: flags.Model = None,
    cut: flags.Cut = None,
    limit: flags.Limit = None,
    test_share: flags.HeldOut = None,
    seed: flags.Seed = 0,
    json: flags.Json = False,
    markdown: flags.Markdown = False,
    plot: flags.Plot = None,
    html: Html = None,
) -> None:
    """Measure forecasts against the lengths that came: rank agreement, errors, calibration and speed, in one table.

    Several predictors stand side by side. Words are fitted on the conversations that are not measured on.

    Examples:
    `soonest eval forecasts chats.jsonl --test-share 0.2 --plot calibration.png`

    `soonest eval forecasts constant "conformal(history)" chats.jsonl --test-share 0.2 --json`
    """
    from soonest.cli.forecasts import measuring
    from soonest.cli.forecasts.printing import print_measures
    from soonest.core import PredictorError
    from soonest.report import check_picture
    from soonest.report.forecasts import plot_calibration
    from soonest.report.study.html import check_page

    began = time.monotonic()
    if plot is not None:
        check_picture(plot)
    if html is not None:
        check_page(html)
    if not predictors:
        raise PredictorError(f"name a predictor before the file, for example: soonest eval forecasts {file}")
    if test_share is not None:
        flags.check_share(test_share)
    made = {name: _made(name) for name in dict.fromkeys(predictors)}
    if test_share is None and any(is_words(name) for name in made):
        test_share = 0.2
    examples = measuring.read([file], column, model, limit, cut)
    train, test = (None, examples) if test_share is None else examples.split((1 - test_share, test_share), seed)
    found = {name: _assessed(name, one, train, test, file) for name, one in made.items()}
    if json:
        typer.echo(jsons.dumps(_document(file, test, found), indent=2))
    else:
        print_measures({name: one.measures for name, one in found.items()}, markdown=markdown)
    if plot is not None:
        curves = {name: one.calibration for name, one in found.items()}
        plot_calibration(plot, curves, _title(file, test))
        measuring.say(f"wrote {plot}")
    if html is not None:
        _write_page(html, found, _title(file, test), seed, began)


def is_words(name: str) -> bool:
    """Whether this says how to make a predictor, and not where one lies."""
    return not Path(name).exists() and ("(" in name or "/" not in name)


def _made(name: str) -> Predictor:
    from soonest.predict import Predictor, predictor

    return predictor(name) if is_words(name) else Predictor.from_pretrained(name)


def _assessed(name: str, predictor: Predictor, train: Examples | None, test: Examples, file: Path) -> Assessment:
    """Measure one; its classes and constant median are those of the lengths it learned from, where they are known."""
    from soonest.cli.forecasts import measuring
    from soonest.report.forecasts import Training

    if train is not None and is_words(name):
        measuring.fitted(predictor, name, train)
    training = measuring.training_of(predictor.card_)
    measuring.tell_if_learned(name, predictor.card_, file, train)
    if training is None and train is None:
        measuring.say(f"{name}: its card does not say what lengths it learned from; classes are those of this file")
    return measuring.measured(predictor, test, training or Training.of((train or test).tokens))


def _document(file: Path, test: Examples, found: Mapping[str, Assessment]) -> dict[str, object]:
    """Every number; what nothing defines is null."""
    return {
        "file": file.name,
        "answers": len(test),
        "predictors": {
            name: {
                "measures": {key: _plain(value) for key, value in one.measures.items()},
                "deciles": [part._asdict() for part in one.deciles],
                "calibration": _pairs(one.calibration),
            }
            for name, one in found.items()
        },
    }


def _title(file: Path, test: Examples) -> str:
    return f"{len(test):,} answers of {file.name}"


def _write_page(path: Path, found: Mapping[str, Assessment], title: str, seed: int, began: float) -> None:
    """Everything measured on one page."""
    from soonest.cli.forecasts import measuring
    from soonest.report.study import Study
    from soonest.report.study.assessed import COMPUTE, assessment
    from soonest.report.study.html import write_page
    from soonest.report.study.origin import command, machine, versions

    seconds = round(time.monotonic() - began, 1)
    sections = assessment("Measures", found)
    typed = command(sys.argv[1:])
    study = Study("eval", f"Forecasts for {title}", typed, seed, versions(COMPUTE), machine(), seconds, sections)
    write_page(path, [study])
    measuring.say(f"wrote {path}")


def _pairs(curve: Sequence[tuple[float, float]]) -> list[dict[str, float]]:
    return [{"level": level, "observed": observed} for level, observed in curve]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None

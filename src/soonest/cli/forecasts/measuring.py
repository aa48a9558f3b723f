"""What `fit` and `eval` share: reading examples, measuring a predictor on them, and the card that says so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from soonest.core import Forecast, Prompt
    from soonest.data.examples import Examples
    from soonest.predict import Card, Predictor
    from soonest.report.forecasts import Assessment, Training

BATCH: Final = 256


def say(line: str) -> None:
    """Talk, on stderr."""
    typer.echo(line, err=True)


def given_columns(words: Sequence[str]) -> dict[str, str]:
    """`ROLE=COLUMN` as a mapping.

    Raises:
        TraceError: there is no `=`.
    """
    from soonest.core import TraceError

    found = {}
    for word in words:
        role, sign, column = word.partition("=")
        if not sign:
            raise TraceError(f"--column takes ROLE=COLUMN, for example prompt=question, got {word!r}")
        found[role.strip()] = column.strip()
    return found


def read(
    files: Sequence[Path],
    columns: Sequence[str],
    model: str | None,
    limit: int | None,
    cut: int | None,
    more: Sequence[Examples] = (),
) -> Examples:
    """The examples of all files, and `more`; what was guessed and what was found is told on stderr."""
    from soonest.data.examples import read_examples

    return read_by(lambda path, given: read_examples(path, given, model, limit, cut), files, columns, more)


def read_by(
    reader: Callable[[Path, Mapping[str, str]], Examples],
    files: Sequence[Path],
    columns: Sequence[str],
    more: Sequence[Examples],
) -> Examples:
    """As `read`, each file by a reader that is given the columns, too."""
    from soonest.data.examples import Examples, guess_columns

    given = given_columns(columns)
    parts = list(more)
    for path in files:
        say(f"{path}: {guess_columns(path, given)}")
        part = reader(path, given)
        _say_found(str(path), part)
        parts.append(part)
    return Examples.joined(parts)


def read_told(url: str, model: str | None, limit: int | None) -> Examples:
    """The prompts of a journal, the newest `limit` of them, with the lengths of their answers."""
    from soonest.core.errors import without_password
    from soonest.data.examples.reading import check_bounds
    from soonest.data.journal import examples_of, read_journal

    check_bounds(limit, None)
    part = examples_of(read_journal(url, last=limit), model)
    _say_found(without_password(url), part)
    return part


def tell_if_learned(name: str, card: Card | None, file: Path, train: Examples | None) -> None:
    """Say where a predictor may have learned what it is asked: it was fitted on a file of this name.

    Not so on what is held out by the same share and seed of the same answers: `train` are the others.
    """
    from soonest.report.forecasts import Training

    if card is None or file.name not in card.data.split(", "):
        return
    if train is None:
        say(f"{name}: learned from a file of this name: measure what was held out with --test-share")
    elif card.examples != len(train) or training_of(card) not in (None, Training.of(train.tokens)):
        say(
            f"{name}: learned from a file of this name, but not from the answers that this share and seed leave: what "
            "is held out here is not what `soonest fit` held out, and it may know some"
        )


def _say_found(name: str, part: Examples) -> None:
    """What a source held, on stderr."""
    left = f", {part.left_out:,} calls without an answer left out" if part.left_out else ""
    cuts = f", {part.censored.sum():,} of them cut" if part.censored.any() else ""
    say(f"{name}: {len(part):,} answers of {len(set(part.groups.tolist())):,} conversations{cuts}{left}")


def fitted(predictor: Predictor, words: str, examples: Examples) -> None:
    """Fit on these examples, and say how long it took."""
    from time import perf_counter

    start = perf_counter()
    say(f"fitting {words} on {len(examples):,} answers ...")
    predictor.fit(examples.prompts, examples.tokens.tolist(), examples.censored.tolist())
    say(f"fitting {words} took {perf_counter() - start:.1f} s")


def measured(
    predictor: Predictor, examples: Examples, training: Training, timed: Sequence[Prompt] | None = None
) -> Assessment:
    """Measure forecasts and their speed. What an `online` predictor wraps is measured, as if it spoke.

    The speed is that of the prompts `timed`, where those of the examples are without their texts.
    """
    from dataclasses import replace

    from soonest.predict import Online
    from soonest.report.forecasts import assess, speed

    source = predictor.base if isinstance(predictor, Online) and predictor.card_ is None else predictor
    forecasts = _forecasts(source, examples.prompts)
    found = assess(forecasts, examples.tokens, examples.censored, examples.groups, training)
    return replace(found, measures={**found.measures, **speed(source.predict, timed or examples.prompts)})


def training_of(card: Card | None) -> Training | None:
    """The lengths that a card says were learned from, if it does."""
    from soonest.report.forecasts import Training

    names = ("train_p25", "train_p50", "train_p75", "train_p99", "train_mean")
    found = [card.measured.get(name, math.nan) for name in names] if card is not None else [math.nan]
    return Training(tuple(found[:-1]), found[-1]) if all(map(math.isfinite, found)) else None


def card_of(files: Sequence[Path], train: Examples, assessment: Assessment) -> Card:
    """The card of what was learned from these files; measures that nothing defines are left out."""
    from soonest.predict import Card

    measures = {name: value for name, value in assessment.measures.items() if math.isfinite(value)}
    promised = measures.get("coverage_promised")
    return Card(
        models=train.models,
        data=", ".join(path.name for path in files),
        examples=len(train),
        coverage=None if promised is None else round(promised, 6),
        measured=measures,
    )


def _forecasts(predictor: Predictor, prompts: Sequence[Prompt]) -> list[Forecast]:
    """In batches, under a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    made: list[Forecast] = []
    columns = (TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(prompts))
        for i in range(0, len(prompts), BATCH):
            made += predictor.predict(prompts[i : i + BATCH])
            progress.update(task, completed=len(made))
    return made

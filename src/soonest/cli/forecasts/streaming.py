"""`soonest fit --ray`: logs larger than memory, read and featurised by a cluster."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from soonest.cli.forecasts.measuring import given_columns, read_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.progress import Progress, TaskID

    from soonest.core import Prompt
    from soonest.data.examples import Examples
    from soonest.predict import Predictor

TIMED = 500
"""Prompts on which the speed is measured."""


def check(predictor: Predictor, words: str, files: Sequence[Path]) -> None:
    """Refuse, before long work, what needs the texts themselves, or has none to stream.

    Raises:
        PredictorError: why.
    """
    from soonest.core import PredictorError

    if not predictor.sees_as_text:
        raise PredictorError(
            f"--ray keeps of a prompt what `text` sees, and {words} needs its texts: fit text, conformal(text) or "
            "online(conformal(text)), or leave out --ray"
        )
    if not files:
        raise PredictorError("--ray reads files, and a journal is read here: give a FILE, or leave out --ray")


def read(
    folder: Path,
    files: Sequence[Path],
    columns: Sequence[str],
    model: str | None,
    limit: int | None,
    cut: int | None,
    more: Sequence[Examples] = (),
) -> Examples:
    """As `measuring.read`, by the workers of the joined cluster; what they see is kept in the folder."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from soonest.cluster.kept import Kept
    from soonest.cluster.reading import read_seen

    shown = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with closing(Kept(folder)) as kept:

        def seen(path: Path, given: Mapping[str, str]) -> Examples:
            with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
                tell = partial(_tell, progress, progress.add_task("reading", total=None))
                return read_seen(path.absolute(), given, model, limit, cut, kept, tell)

        return read_by(seen, files, columns, more)


def _tell(progress: Progress, task: TaskID, calls: int) -> None:
    progress.update(task, description=f"{calls:,} answers")


def prompts(files: Sequence[Path], columns: Sequence[str], model: str | None, cut: int | None) -> tuple[Prompt, ...]:
    """The first prompts, with their texts."""
    from soonest.data.examples import read_examples

    return read_examples(files[0], given_columns(columns), model, TIMED, cut).prompts

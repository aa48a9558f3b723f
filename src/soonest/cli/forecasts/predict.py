"""`soonest predict`."""

from __future__ import annotations

import json as jsons
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from soonest.cli.forecasts import flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from soonest.core import Forecast, Prompt

BATCH: Final = 256
SHOWN: Final = 60
"""Characters of a prompt in the table, if they are asked for."""


def predict(
    folder: flags.Folder,
    text: flags.Text = None,
    file: flags.PromptFile = None,
    column: flags.Column = [],  # noqa: B006 - Typer copies it
    model: flags.AskedModel = None,
    max_tokens: flags.MaxTokens = None,
    json: flags.JsonLines = False,
    show_text: flags.ShowText = False,
) -> None:
    """Forecast the lengths of answers: the interval, the mean, and the share of answers promised to lie inside.

    The prompt is TEXT, or all of stdin; stdin may also hold the bodies of chat requests, one JSON object a line.
    Prompts are not printed unless asked for.

    Examples:
    `soonest predict forecasts "Write a limerick."`

    `soonest predict forecasts --file requests.jsonl --json`
    """
    from soonest.core import PredictorError
    from soonest.predict import Predictor

    if text is not None and file is not None:
        raise PredictorError("give TEXT or --file, not both")
    if max_tokens is not None and max_tokens < 1:
        raise PredictorError(f"--max-tokens must be at least 1, got {max_tokens}")
    found = Predictor.from_pretrained(folder)
    prompts = (_with(prompt, model, max_tokens) for prompt in _prompts(text, file, column))
    rows = []
    number = 0
    while batch := list(islice(prompts, BATCH)):
        for prompt, forecast in zip(batch, found.predict(batch), strict=True):
            row = _row(number, prompt, forecast) | ({"text": prompt.text} if show_text else {})
            number += 1
            if json:
                typer.echo(jsons.dumps(row))
            else:
                rows.append(row)
    if rows:
        _print(rows)


def _prompts(text: str | None, file: Path | None, column: list[str]) -> Iterator[Prompt]:
    from soonest.cli.forecasts.measuring import given_columns
    from soonest.core import Prompt
    from soonest.data.examples import read_prompts
    from soonest.data.source import opened

    if text is not None:
        yield Prompt.of(text)
    elif file is None:
        yield from _stdin()
    elif file.name.removesuffix(".gz").endswith(".txt"):
        with opened(file) as lines:
            yield from (Prompt.of(line.rstrip("\r\n")) for line in lines if line.strip())
    else:
        yield from read_prompts(file, given_columns(column))


def _stdin() -> Iterator[Prompt]:
    """Request bodies if the first line is one, else all of it as one prompt."""
    from soonest.core import PredictorError, Prompt
    from soonest.data.reading import lines

    if sys.stdin.isatty():
        raise PredictorError("give a prompt as TEXT, with --file, or on stdin")
    text = sys.stdin.buffer.read().decode(errors="replace")
    rows = text.strip().split("\n")  # JSON may hold other ends of lines
    if rows and _is_body(rows[0]):
        yield from (Prompt.from_body(body) for _, body in lines(Path("stdin"), iter(rows)))
    else:
        yield Prompt.of(text.removesuffix("\n"))


def _is_body(line: str) -> bool:
    try:
        body = jsons.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and bool({"messages", "prompt"} & body.keys())


def _with(prompt: Prompt, model: str | None, max_tokens: int | None) -> Prompt:
    return replace(
        prompt,
        model=prompt.model or model or "",
        max_tokens=prompt.max_tokens if max_tokens is None else max_tokens,
    )


def _row(number: int, prompt: Prompt, forecast: Forecast) -> dict[str, object]:
    """One forecast; an unknown one expects nothing."""
    return {
        "prompt": prompt.id or number,
        "low": forecast.low,
        "expected": round(forecast.expected, 1) if forecast.known else None,
        "high": forecast.high,
        "coverage": forecast.coverage,
        "known": forecast.known,
    }


def _print(rows: list[dict[str, object]]) -> None:
    from rich.box import MARKDOWN
    from rich.table import Table
    from rich.text import Text

    from soonest.cli.forecasts.printing import console

    shown = ["text"] if "text" in rows[0] else []
    table = Table(box=MARKDOWN, highlight=False)
    for name in ("prompt", "low", "expected", "high", "coverage", *shown):
        table.add_column(name, justify="left" if name == "text" else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, _cells(row)), *(Text(repr(str(row[name])[:SHOWN])) for name in shown))
    console().print(table)


def _cells(row: Mapping[str, object]) -> list[str]:
    if not row["known"]:
        return [str(row["prompt"]), "-", "unknown", "-", "-"]
    promised = "none" if row["coverage"] is None else f"{row['coverage']:.0%}"
    return [*(str(row[name]) for name in ("prompt", "low", "expected", "high")), promised]

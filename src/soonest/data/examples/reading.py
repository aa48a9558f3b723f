"""From a file to examples: guess the columns, stream the rows."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from soonest.core import TraceError
from soonest.data.examples.calls import Call, asked, calls_of, linked
from soonest.data.examples.columns import Guess, guess
from soonest.data.examples.examples import Examples
from soonest.data.examples.rows import Row, format_of, stream
from soonest.data.source import Choice

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from soonest.core import Prompt

LOOKED_AT: Final = 100
"""Rows from which columns are guessed."""


def guess_columns(path: str | Path, columns: Mapping[str, str] | None = None, *, answers: bool = True) -> Guess:
    """Which column of a file plays which role, from its first rows; `columns` overrides, role by role.

    Without `answers` the file need not hold their lengths.

    Raises:
        TraceError: the file cannot be read, or its columns cannot be told: it names them.
    """
    path = Path(path)
    form = format_of(path)
    with closing(stream(path, form)) as rows:
        first = [cells for _, cells in islice(rows, LOOKED_AT)]
    if not first:
        raise TraceError(f"{path}: holds no row")
    return guess(str(path), form, first, columns or {}, answers=answers)


def read_examples(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    model: str | None = None,
    limit: int | None = None,
    cut: int | None = None,
) -> Examples:
    """Prompts and the lengths of their answers from JSONL, CSV, a JSON list or Parquet; the first two plain or gzip.

    Columns are guessed, see `ROLES` and `guess_columns`: so ShareGPT's conversations, OpenAI's chats, the prompt sets
    of vLLM and aiperf, and request logs that hold prompts are read alike. Calls without an answer are left out and
    counted. `model` chooses one of several, `limit` stops after so many examples and reads nothing beyond them, and an
    answer of `cut` tokens or more was cut there. Memory holds the texts once.

    Raises:
        TraceError: the file cannot be read, its columns cannot be told, or a row is malformed: file, line and column.
    """
    path = Path(path)
    check_bounds(limit, cut)
    known = guess_columns(path, columns)
    choice = Choice(model)
    calls: list[Call] = []
    left_out = 0
    with closing(_calls(path, known, choice, cut)) as found:
        for call in found:
            if call.tokens < 1:
                left_out += 1
                continue
            calls.append(call)
            if len(calls) == limit:
                break
    if not calls:
        raise nothing(path, choice, left_out)
    rows = linked(calls) if turn_by_turn(known) else iter(calls)
    return Examples.from_rows(((call.prompt, call.tokens, call.censored) for call in rows), left_out)


def check_bounds(limit: int | None, cut: int | None) -> None:
    """Refuse a limit or a cut below one."""
    for name, given in (("limit", limit), ("cut", cut)):
        if given is not None and given < 1:
            raise TraceError(f"{name} must be at least 1, got {given}")


def turn_by_turn(known: Guess) -> bool:
    """Whether each turn of a conversation is a row, so that a call's history lies in other rows."""
    return {"prompt", "conversation"} <= known.columns.keys() and not known.columns.keys().isdisjoint(
        {"turn", "history_tokens"}
    )


def nothing(path: Path, choice: Choice, left_out: int) -> TraceError:
    """The error of a file without an answer."""
    left = f"; {left_out} calls without an answer were left out" if left_out else ""
    return TraceError(f"{path}: holds no answer{choice.hint}{left}")


def read_prompts(
    path: str | Path, columns: Mapping[str, str] | None = None, limit: int | None = None
) -> Iterator[Prompt]:
    """Prompts, one a row, from a file as `read_examples` reads it, answered or not.

    Raises:
        TraceError: as `read_examples`.
    """
    path = Path(path)
    known = guess_columns(path, columns, answers=False)
    with closing(stream(path, known.format, known.needed)) as rows:
        for line, cells in islice(rows, limit):
            yield asked(Row(path, line, cells, known.columns))


def _calls(path: Path, known: Guess, choice: Choice, cut: int | None) -> Generator[Call, None, None]:
    with closing(stream(path, known.format, known.needed)) as rows:
        for line, cells in rows:
            yield from calls_of(Row(path, line, cells, known.columns), choice, cut)

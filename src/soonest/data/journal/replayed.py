"""A journal as a trace to replay, and as examples to learn from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import JournalError, Outcome, Prompt
from soonest.data.examples import Examples
from soonest.data.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from soonest.data.journal.row import Row


def calls_of(rows: Sequence[Row], model: str | None = None) -> list[tuple[Row, int]]:
    """Each answer's row with its tokens, by arrival: a request of several choices is as many answers."""
    found = []
    for row in sorted((row for row in rows if row.done and model in {None, row.model}), key=lambda row: row.arrival):
        choices = min(max(1, row.choices), row.output_tokens)
        each, more = divmod(row.output_tokens, choices)
        found += [(row, each + (i < more)) for i in range(choices)]
    return found


def trace_of(rows: Sequence[Row], name: str = "journal", model: str | None = None) -> Trace:
    """What arrived when: the finished rows, from the first one's arrival on; `model` keeps one model's.

    Rows without an answer are left out and counted. A request of several choices is as many calls of its mean length.

    Raises:
        JournalError: no row has an answer.
    """
    calls = calls_of(rows, model)
    left = sum(not row.done for row in rows if model in {None, row.model})
    if not calls:
        raise JournalError(f"{name}: no finished request to replay; {left} without an answer were left out")
    start = calls[0][0].arrival
    return Trace(
        name=name,
        arrival=np.array([row.arrival - start for row, _ in calls]),
        prompt_tokens=np.array([max(0, row.prompt_tokens) for row, _ in calls], dtype=np.int64),
        output_tokens=np.array([tokens for _, tokens in calls], dtype=np.int64),
        tenant=np.array([row.tenant for row, _ in calls], dtype=np.str_),
        left_out=left,
    )


def examples_of(rows: Sequence[Row], model: str | None = None) -> Examples:
    """Prompts with the lengths of their answers, where prompts were kept; what a limit or a client ended is censored.

    Raises:
        JournalError: no row has a prompt and an answer, or none is of this model.
    """
    chosen = [row for row in rows if model in {None, row.model}]
    if rows and not chosen:
        met = ", ".join(sorted({row.model for row in rows}))
        raise JournalError(
            f"no request for the model {model!r} among the {len(rows):,} that were read; they are for: {met}"
        )
    found = list(_examples(chosen))
    if not found:
        raise JournalError(
            "the journal keeps no prompts to learn from: run `soonest serve --journal-prompts`"
            if not any(row.prompt for row in chosen)
            else "the journal holds no prompt with an answer"
        )
    return Examples.from_rows(found, left_out=len(chosen) - sum(_teaches(row) for row in chosen))


def _teaches(row: Row) -> bool:
    ended = row.done or (row.outcome == Outcome.CANCELLED and row.output_tokens >= 1)
    return ended and row.prompt is not None and _body(row.prompt) is not None


def _examples(rows: Sequence[Row]) -> Iterator[tuple[Prompt, int, bool]]:
    for row in rows:
        if not _teaches(row):
            continue
        choices = min(max(1, row.choices), row.output_tokens)
        body = _body(row.prompt or "") or {}
        facts = {"model": row.model, "tenant": row.tenant, "prompt_tokens": row.prompt_tokens}
        facts |= {"max_tokens": row.max_tokens} if row.max_tokens >= 1 else {}
        yield Prompt.from_body(body, **facts), round(row.output_tokens / choices), row.censored


def _body(text: str) -> dict[str, object] | None:
    """The request's body; a bare JSON string is a prompt."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(body, str | list):
        return {"prompt": body} if isinstance(body, str) else {"messages": body}
    return body if isinstance(body, dict) else None

"""Logs larger than memory, streamed through Ray Data: texts come in, what `text` sees of them comes out."""

from __future__ import annotations

import logging
import pickle
from contextlib import closing
from functools import partial
from sys import intern
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from ray.data import DataContext, Datasource, ReadTask, read_datasource
from ray.data.block import BlockMetadata

from soonest.cluster.kept import Features
from soonest.core import TraceError
from soonest.data.examples import Examples, group_of, guess_columns
from soonest.data.examples.calls import calls_of
from soonest.data.examples.reading import check_bounds, nothing, turn_by_turn
from soonest.data.examples.rows import Row, stream
from soonest.data.source import Choice
from soonest.predict.text.facts import COLUMNS, Seen, characters, features

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from soonest.cluster.kept import Kept
    from soonest.data.examples import Guess
    from soonest.data.examples.calls import Call
    from soonest.data.examples.rows import Cells
    from soonest.predict.text.ngrams import Grams

ROWS: Final = 64
"""Rows of a file that travel together."""
BLOCK: Final = 1 << 20
"""Bytes of rows that a task is given, about."""
READER: Final = 0.01
"""Cores of the task that reads a file: it waits for the others. Other than theirs, or Ray would make both one task."""


Facts: TypeAlias = "tuple[str, str, int, int, int]"
"""Of a prompt: model, tenant, limit, characters, group."""
Look: TypeAlias = "Callable[[int], tuple[Grams, list[float]]]"


class Part(NamedTuple):
    """What became of some rows: their answered calls, and how many unanswered ones stand before each and at the end.

    `wrong` is what is wrong with the row behind them, or with the rest of the file.
    """

    features: Features
    prompts: list[Facts]
    tokens: NDArray[np.int64]
    censored: NDArray[np.bool_]
    left_out: NDArray[np.int64]
    met: set[str]
    wrong: TraceError | None


class Rows(Datasource):  # type: ignore[misc] # Ray is skipped where types are checked
    """The rows of a file, pickled, some at a time; the file is read where the task runs."""

    def __init__(self, path: Path, known: Guess) -> None:
        super().__init__()
        self.path, self.known = path, known

    def estimate_inmemory_data_size(self) -> None:
        """Nobody knows."""

    def get_read_tasks(self, *_: Any, **__: Any) -> list[ReadTask]:
        """One, since lines must be found one after the other."""
        return [ReadTask(partial(_read, self.path, self.known), BlockMetadata(None, None, None, None))]


def read_seen(
    path: Path,
    columns: Mapping[str, str],
    model: str | None,
    limit: int | None,
    cut: int | None,
    kept: Kept,
    told: Callable[[int], None],
) -> Examples:
    """As `read_examples`, in the same order, by the workers of the joined cluster; `kept` is given what is seen.

    The path must lead to the file on every node. `told` hears how many calls there are so far. Conversations whose
    turns are rows of their own are refused: their history would have to be held until the end.

    Raises:
        TraceError: as `read_examples`; or such conversations.
    """
    check_bounds(limit, cut)
    known = guess_columns(path, columns)
    if turn_by_turn(known):
        raise TraceError(f"{path}: has a row for each turn of a conversation, which must be read as a whole: no --ray")
    look = kept.look
    prompts: list[Seen] = []
    tokens, censored = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)]
    left_out, met = 0, Choice(model)
    with closing(_parts(path, known, model, cut)) as parts:
        for part in parts:
            size = len(part.tokens) if limit is None else min(len(part.tokens), limit - len(prompts))
            ended = limit is not None and len(prompts) + size == limit
            left_out += int(part.left_out[size - 1 if ended else -1])
            met.met |= part.met
            first = len(kept)
            kept.add(part.features)
            prompts += (_seen(facts, row, look) for row, facts in enumerate(part.prompts[:size], first))
            tokens.append(part.tokens[:size])
            censored.append(part.censored[:size])
            told(len(prompts))
            if ended:
                break
            if part.wrong is not None:
                raise part.wrong
    if not prompts:
        raise nothing(path, met, left_out)
    groups = np.fromiter((prompt.group for prompt in prompts), np.uint64, len(prompts))
    return Examples(tuple(prompts), np.concatenate(tokens), np.concatenate(censored), groups, left_out)


def _seen(facts: Facts, row: int, look: Look) -> Seen:
    model, tenant, most, length, group = facts
    return Seen(
        (),
        model=intern(model),
        tenant=intern(tenant),
        max_tokens=most,
        group=group,
        characters=length,
        row=row,
        look=look,
    )


def _parts(path: Path, known: Guess, model: str | None, cut: int | None) -> Generator[Part, None, None]:
    """What became of all rows, in their order.

    Raises:
        TraceError: what is wrong with the file.
    """
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.target_max_block_size = BLOCK
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = read_datasource(Rows(path, known), num_cpus=READER)
    for row in rows.map(partial(_see, path, known, model, cut), num_cpus=1).iter_rows():
        yield pickle.loads(row["seen"])  # noqa: S301 - our own workers wrote it


def _read(path: Path, known: Guess) -> Iterator[pa.Table]:
    """In the task that reads: some rows at a time; what is wrong with the file comes behind the last."""
    some: list[Cells] = []
    wrong = None
    try:
        with closing(stream(path, known.format, known.needed)) as rows:
            for row in rows:
                some.append(row)
                if len(some) == ROWS:
                    yield _table(some)
                    some = []
    except TraceError as error:
        wrong = error
    if some or wrong is not None:
        yield _table(some, wrong)


def _table(rows: list[Cells], wrong: TraceError | None = None) -> pa.Table:
    return pa.table({"rows": [pickle.dumps((rows, wrong))]})


def _see(path: Path, known: Guess, model: str | None, cut: int | None, row: Mapping[str, bytes]) -> dict[str, bytes]:
    """In a worker: some rows become a `Part`."""
    rows, wrong = pickle.loads(row["rows"])  # noqa: S301 - the task before wrote it
    return {"seen": pickle.dumps(_part(path, known, Choice(model), cut, rows, wrong))}


def _part(
    path: Path, known: Guess, choice: Choice, cut: int | None, rows: Sequence[Cells], wrong: TraceError | None
) -> Part:
    left_out = [0]
    calls: list[Call] = []
    try:
        for line, cells in rows:
            for call in calls_of(Row(path, line, cells, known.columns), choice, cut):
                if call.tokens < 1:
                    left_out[-1] += 1
                else:
                    calls.append(call)
                    left_out.append(left_out[-1])
    except TraceError as error:
        wrong = error
    prompts = [call.prompt for call in calls]
    grams, facts = zip(*map(features, prompts), strict=True) if prompts else ((), ())
    return Part(
        Features(
            np.array([len(part.places) for part in grams], np.int64),
            np.concatenate([np.zeros(0, np.int32), *(part.places.astype(np.int32) for part in grams)]),
            np.concatenate([np.zeros(0, np.uint16), *(part.times.astype(np.uint16) for part in grams)]),
            np.array(facts, np.float64).reshape(len(prompts), COLUMNS),
        ),
        [(p.model, p.tenant, p.max_tokens, characters(p), group_of(p)) for p in prompts],
        np.array([call.tokens for call in calls], np.int64),
        np.array([call.censored for call in calls], np.bool_),
        np.array(left_out, np.int64),
        choice.met,
        wrong,
    )

"""When one request arrived, started, spoke and ended: every report is made of these."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


class Outcome(StrEnum):
    """How a request ended."""

    FINISHED = "finished"
    ABORTED = "aborted"
    """Evicted more often than the rules allow."""
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """Times in seconds on the host's clock: arrival <= admitted <= first_token <= finished.

    `admitted` is the first admission; `first_token` is the first token that the client keeps, so a restart moves it.
    An answer that did not finish has `nan` where nothing happened. `tokens_lost` are output tokens thrown away by a
    restart, `tokens_recomputed` KV tokens computed again after an eviction.
    """

    id: str
    arrival: float
    admitted: float
    first_token: float
    finished: float
    prompt_tokens: int
    output_tokens: int
    evictions: int = 0
    tokens_lost: int = 0
    tokens_recomputed: int = 0
    tenant: str = ""
    outcome: Outcome = Outcome.FINISHED


OUTCOMES = tuple(Outcome)


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Many records as columns, each of shape (n,): what every measure reads.

    Times are float64 seconds, counts int64, `tenant` a string array, `outcome` an index into `OUTCOMES`.
    """

    id: NDArray[np.str_]
    arrival: NDArray[np.float64]
    admitted: NDArray[np.float64]
    first_token: NDArray[np.float64]
    finished: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    evictions: NDArray[np.int64]
    tokens_lost: NDArray[np.int64]
    tokens_recomputed: NDArray[np.int64]
    tenant: NDArray[np.str_]
    outcome: NDArray[np.int8]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """The columns of these records."""
        rows = list(records)
        columns: dict[str, NDArray[Any]] = {
            f.name: np.array([getattr(r, f.name) for r in rows], dtype=_DTYPES[f.name])
            for f in fields(cls)
            if f.name != "outcome"
        }
        return cls(**columns, outcome=np.array([OUTCOMES.index(r.outcome) for r in rows], dtype=np.int8))

    def __len__(self) -> int:
        return len(self.arrival)

    def __iter__(self) -> Iterator[Record]:
        names = [f.name for f in fields(self) if f.name != "outcome"]
        columns = [getattr(self, name).tolist() for name in names]
        for *row, outcome in zip(*columns, self.outcome.tolist(), strict=True):
            yield Record(**dict(zip(names, row, strict=True)), outcome=OUTCOMES[outcome])

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which requests finished."""
        return np.equal(self.outcome, OUTCOMES.index(Outcome.FINISHED))


_DTYPES: dict[str, type] = {
    "id": np.str_,
    "arrival": np.float64,
    "admitted": np.float64,
    "first_token": np.float64,
    "finished": np.float64,
    "prompt_tokens": np.int64,
    "output_tokens": np.int64,
    "evictions": np.int64,
    "tokens_lost": np.int64,
    "tokens_recomputed": np.int64,
    "tenant": np.str_,
}

"""What a trace says: when calls arrived, how long their prompts and answers were."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from soonest.core import TraceError
from soonest.core.forecast import MAX_TOKENS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SECONDS = 10 * 366 * 86_400  # ten years
BLOCK_TOKENS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One call a row, as columns of shape (n,), sorted by arrival.

    Attributes:
        name: where it comes from, in a word.
        arrival: seconds from the start, never decreasing; all zero where the source has no times.
        prompt_tokens: tokens of the prompt, 0 where the source does not say.
        output_tokens: tokens of the answer, at least 1.
        tenant: who called, or "".
        predicted: the class a classifier predicted for the answer's length, or -1.
        blocks: the prompt's prefix as block hashes of `block_tokens` tokens (Mooncake); empty where there are none.
        block_tokens: tokens a block.
        has_arrivals: whether the source has arrival times.
        left_out: calls of the source that have no answer and are therefore not in the trace.

    Raises:
        TraceError: a value is negative, not finite or absurd, or the columns differ in length.
    """

    name: str
    arrival: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    tenant: NDArray[np.str_] = field(default_factory=lambda: np.array([], dtype=np.str_))
    predicted: NDArray[np.int64] = field(default_factory=lambda: np.array([], dtype=np.int64))
    blocks: tuple[tuple[int, ...], ...] = ()
    block_tokens: int = BLOCK_TOKENS
    has_arrivals: bool = True
    left_out: int = 0

    def __post_init__(self) -> None:
        n = len(self.arrival)
        for name, filler in (("tenant", ""), ("predicted", -1)):
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.full(n, filler))
        columns = (self.prompt_tokens, self.output_tokens, self.tenant, self.predicted)
        if any(len(c) != n for c in columns) or len(self.blocks) not in {0, n}:
            raise TraceError(f"trace {self.name!r}: its columns differ in length")
        if n == 0:
            left = f"; {self.left_out} without an answer were left out" if self.left_out else ""
            raise TraceError(f"trace {self.name!r} holds no call{left}")
        if not np.isfinite(self.arrival).all() or self.arrival[0] < 0 or (np.diff(self.arrival) < 0).any():
            raise TraceError(f"trace {self.name!r}: arrivals must be finite, not negative and sorted")
        if self.arrival[-1] > MAX_SECONDS:
            raise TraceError(f"trace {self.name!r}: its last call arrives after more than ten years")
        if self.prompt_tokens.min() < 0 or self.output_tokens.min() < 1:
            raise TraceError(f"trace {self.name!r}: a prompt has at least 0 tokens and an answer at least 1")
        if max(self.prompt_tokens.max(), self.output_tokens.max()) > MAX_TOKENS:
            raise TraceError(f"trace {self.name!r}: a prompt or an answer has more than {MAX_TOKENS} tokens")
        if self.block_tokens < 1:
            raise TraceError(f"trace {self.name!r}: a block has at least 1 token, not {self.block_tokens}")

    def __len__(self) -> int:
        return len(self.arrival)

    @property
    def rate(self) -> float:
        """Calls a second over the whole trace; infinite where all arrive at once."""
        span = float(self.arrival[-1] - self.arrival[0])
        return (len(self) - 1) / span if span > 0 else float("inf")

    def head(self, n: int) -> Self:
        """The first `n` calls."""
        return self.take(np.arange(min(n, len(self))))

    def take(self, rows: NDArray[np.int64]) -> Self:
        """These calls, in this order; arrivals must stay sorted."""
        blocks = tuple(self.blocks[i] for i in rows) if self.blocks else ()
        names = ("arrival", "prompt_tokens", "output_tokens", "tenant", "predicted")
        return replace(self, **{name: getattr(self, name)[rows] for name in names}, blocks=blocks)

    def at(self, arrival: NDArray[np.float64]) -> Self:
        """The same calls at other times, in the same order."""
        return replace(self, arrival=np.asarray(arrival, dtype=np.float64), has_arrivals=True)

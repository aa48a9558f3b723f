"""How long one iteration of an engine takes."""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from soonest.core import StepTimeError, TraceError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SECOND: Final = 10**12
"""Picoseconds in a second."""
MAX_PICOSECONDS: Final = 1000 * SECOND
MAX_STARTUP: Final = 1 << 20
MAX_COUNT: Final = float(1 << 40)
COLUMNS: Final = ("prefill_tokens", "sequences", "context_tokens", "seconds")
"""What `read_steps` reads: one row a measured iteration."""
COEFFICIENTS: Final = ("iteration", "per_prefill_token", "per_sequence", "per_context_token")
MIN_ROWS: Final = 8


@dataclass(frozen=True, slots=True)
class StepTime:
    """Time of one engine iteration, a linear function of its batch in integer picoseconds, so that sums are exact.

    time = iteration + per_sequence x sequences + per_prefill_token x prefill tokens
    + per_context_token x context tokens

    Attributes:
        iteration: picoseconds of any iteration: reading the weights, launching the kernels.
        per_sequence: picoseconds for each sequence in the batch, prefilling or decoding.
        per_prefill_token: picoseconds for each prompt token computed.
        per_context_token: picoseconds for each token of KV cache that the batch attends to in the iteration.
        startup: iterations that an admitted request spends before its first prefill, emitting nothing.

    Raises:
        StepTimeError: a value is no integer, negative or absurd, or a batch of one would take no time.
    """

    iteration: int
    per_sequence: int = 0
    per_prefill_token: int = 0
    per_context_token: int = 0
    startup: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            unit, limit = ("iterations", MAX_STARTUP) if field.name == "startup" else ("picoseconds", MAX_PICOSECONDS)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= limit:
                raise StepTimeError(f"{field.name} must be an integer in 0..{limit} {unit}, got {value!r}")
            object.__setattr__(self, field.name, int(value))
        if self.iteration + self.per_sequence == 0:
            raise StepTimeError("an iteration of one sequence takes no time: set iteration or per_sequence above 0")

    def duration(self, prefill_tokens: int, sequences: int, context_tokens: int) -> int:
        """Picoseconds of one iteration; all counts are at least 0 (formula above)."""
        return (
            self.iteration
            + self.per_sequence * sequences
            + self.per_prefill_token * prefill_tokens
            + self.per_context_token * context_tokens
        )

    def at(self, speed: float) -> Self:
        """The same on an engine so many times as fast: coefficients divided by `speed`, rounded to picoseconds."""
        return replace(self, **{name: round(getattr(self, name) / speed) for name in COEFFICIENTS})

    @classmethod
    def unit(cls) -> Self:
        """One iteration is one second: the rounds of the theory papers (arXiv:2508.14544, arXiv:2502.07115)."""
        return cls(SECOND)

    @classmethod
    def ssjf(cls) -> Self:
        """0.1 s a request and 0.02 s a token, however large the batch (Qiu et al., 2024, arXiv:2404.08509)."""
        return cls(SECOND // 50, startup=5)

    @classmethod
    def linear(
        cls,
        iteration_s: float,
        sequence_s: float = 0.0,
        prefill_token_s: float = 0.0,
        context_token_s: float = 0.0,
        startup: int = 0,
    ) -> Self:
        """From seconds, rounded to the picosecond."""
        seconds = (iteration_s, sequence_s, prefill_token_s, context_token_s)
        if not all(math.isfinite(s) for s in seconds):
            raise StepTimeError(f"coefficients must be finite seconds, got {seconds}")
        iteration, sequence, prefill, context = (round(s * SECOND) for s in seconds)
        return cls(iteration, sequence, prefill, context, startup)

    def save(self, path: Path | str) -> None:
        """Write as JSON; the file appears whole or not at all."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote."""
        names = {field.name for field in fields(cls)}
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise StepTimeError(f"{path} is no JSON: {error}") from error
        if not isinstance(content, dict) or "iteration" not in content or not content.keys() <= names:
            raise StepTimeError(f"{path}: need an object with `iteration` and perhaps {', '.join(sorted(names))}")
        try:
            return cls(**content)
        except StepTimeError as error:
            raise StepTimeError(f"{path}: {error}") from error


BANDWIDTH_SHARE: Final = 0.6
"""Share of the peak memory bandwidth that decoding is taken to reach (an assumption)."""
FLOPS_SHARE: Final = 0.5
"""Share of the peak FLOP/s that prefill is taken to reach (an assumption)."""
SEQUENCE_SECONDS: Final = 20e-6
"""Scheduling, sampling and detokenising of one sequence in one iteration (an assumption)."""


def roofline(parameters: float, kv_bytes: float, bandwidth: float, flops: float, bytes_per_weight: int = 2) -> StepTime:
    """A step time from first principles; decode is bound by memory, prefill by arithmetic, and the two add up.

    iteration = bytes of the weights / achieved bandwidth; a prefill token = 2 x parameters / achieved FLOP/s;
    a context token = its bytes of KV cache / achieved bandwidth; a sequence = `SEQUENCE_SECONDS`. Measure your engine
    and use `fit_steps` where the absolute figures matter.

    Args:
        parameters: of the model.
        kv_bytes: bytes of KV cache a token: 2 (keys, values) x layers x KV heads x head size x bytes a number.
        bandwidth: peak bytes a second.
        flops: peak floating-point operations a second.
        bytes_per_weight: 2 for bf16.
    """
    achieved = bandwidth * BANDWIDTH_SHARE
    return StepTime.linear(
        iteration_s=parameters * bytes_per_weight / achieved,
        sequence_s=SEQUENCE_SECONDS,
        prefill_token_s=2 * parameters / (flops * FLOPS_SHARE),
        context_token_s=kv_bytes / achieved,
    )


PRESETS: Final[dict[str, StepTime]] = {
    "unit": StepTime.unit(),
    "ssjf": StepTime.ssjf(),
    # H100 SXM data sheet: 3.35 TB/s HBM3, 989 TFLOP/s dense bf16. Llama-3-8B: 32 layers, 8 KV heads of 128, bf16.
    "h100-8b": roofline(8.0e9, kv_bytes=2 * 32 * 8 * 128 * 2, bandwidth=3.35e12, flops=989e12),
    # A100 SXM 80 GB data sheet: 2.04 TB/s, 312 TFLOP/s dense bf16. Llama-2-7B: 32 layers, 32 heads of 128, bf16.
    "a100-7b": roofline(6.7e9, kv_bytes=2 * 32 * 32 * 128 * 2, bandwidth=2.04e12, flops=312e12),
    # vLLM on two CPU cores with a 1.3M-parameter model: about 2 ms an iteration, measured, nearly all of it overhead.
    # The prefill token is 2 x 1.3e6 operations at an assumed 25 GFLOP/s; the context is too small to matter.
    "cpu-1m": StepTime.linear(2e-3, SEQUENCE_SECONDS, prefill_token_s=2 * 1.3e6 / 25e9),
}
"""Named step times; the two GPU models are derived, not measured."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A step time fitted to `n` measured iterations.

    Attributes:
        r2: share of the variance explained, 1 - residual sum of squares / total sum of squares.
        median_error: median of |predicted - measured| / measured.
        p99_error: its 99th percentile.
        n: rows used.
    """

    steptime: StepTime
    r2: float
    median_error: float
    p99_error: float
    n: int


def read_steps(path: Path | str) -> NDArray[np.float64]:
    """Read measured iterations from a CSV file with the columns `COLUMNS`, as an array of shape (n, 4) in that order.

    Raises:
        TraceError: a column is missing or a value is malformed; the message names file, line and column.
    """
    rows: list[list[float]] = []
    line = 1
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise TraceError(f"{path}:1: no column {missing[0]!r}; need a header with {','.join(COLUMNS)}")
            for row in reader:
                line = reader.line_num
                rows.append([_number(row[name], name, f"{path}:{line}") for name in COLUMNS])
    except (csv.Error, UnicodeDecodeError) as error:
        raise TraceError(f"{path}:{line}: no readable CSV from here on: {error}") from error
    return np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))


def _number(text: str | None, column: str, where: str) -> float:
    least = 1 if column == "sequences" else 0
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if column == "seconds" and not 0 < value <= MAX_PICOSECONDS / SECOND:
        raise TraceError(f"{where}: column 'seconds': need seconds above 0, got {text!r}")
    if column != "seconds" and not (least <= value <= MAX_COUNT and value.is_integer()):
        raise TraceError(f"{where}: column {column!r}: need an integer of at least {least}, got {text!r}")
    return value


def fit_steps(rows: ArrayLike) -> Fit:
    """Least squares with coefficients >= 0, from rows of `COLUMNS`.

    Raises:
        StepTimeError: the rows cannot tell the coefficients apart; the message says what to measure.
    """
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(COLUMNS) or len(table) < MIN_ROWS:
        raise StepTimeError(f"need at least {MIN_ROWS} rows of {COLUMNS}, got shape {table.shape}: measure more steps")
    if not np.isfinite(table).all() or table.min() < 0 or table[:, 3].min() <= 0:
        raise StepTimeError("rows must hold finite counts >= 0 and seconds above 0")
    _check_variety(table[:, :3])
    seconds = table[:, 3]
    design = np.column_stack([np.ones(len(table)), table[:, :3]])
    coefficients = nonnegative(design, seconds)
    predicted = design @ coefficients
    spread = float(((seconds - seconds.mean()) ** 2).sum())
    error = np.abs(predicted - seconds) / seconds
    return Fit(
        StepTime(**{name: round(c * SECOND) for name, c in zip(COEFFICIENTS, coefficients.tolist(), strict=True)}),
        r2=1 - float(((predicted - seconds) ** 2).sum()) / spread if spread > 0 else 1.0,
        median_error=float(np.median(error)),
        p99_error=float(np.quantile(error, 0.99)),
        n=len(table),
    )


def nonnegative(design: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares with coefficients >= 0 (Lawson and Hanson, 1974, the problem NNLS), for a handful of columns.

    The solution is ordinary least squares on its own support, so all supports are tried, and the best that is nowhere
    negative is the optimum. Columns hold nothing below 0, and each something above.
    """
    scale = design.max(axis=0)
    base, triangle = np.linalg.qr(design / scale)
    projected = base.T @ target
    best, least = np.zeros(len(scale)), math.inf
    for size in range(1, len(scale) + 1):
        for support in map(list, combinations(range(len(scale)), size)):
            part = np.linalg.lstsq(triangle[:, support], projected, rcond=None)[0]
            residual = float(np.linalg.norm(triangle[:, support] @ part - projected))
            if part.min() >= 0 and residual < least:
                best, least = np.zeros(len(scale)), residual
                best[support] = part
    return np.asarray(best / scale, dtype=np.float64)


def _check_variety(counts: NDArray[np.float64]) -> None:
    """Refuse rows in which two causes cannot be told apart: a combination of columns hardly varies."""
    spread = counts.std(axis=0)
    constant = [name for name, s in zip(COLUMNS, spread, strict=False) if s == 0]
    if constant:
        raise StepTimeError(f"{', '.join(constant)} never varies: measure steps with different values of it")
    _, strength, directions = np.linalg.svd((counts - counts.mean(axis=0)) / spread, full_matrices=False)
    if strength[-1] < 0.01 * strength[0]:
        tied = [name for name, weight in zip(COLUMNS, np.abs(directions[-1]), strict=False) if weight > 0.3]
        raise StepTimeError(f"{' and '.join(tied)} move together: measure steps in which one changes and not the other")

"""Forecasts for a simulation, made from the true lengths: the oracle and its flawed relatives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from soonest.core import Forecast, ForecastError
from soonest.core.forecast import MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PERCENTILES: Final = (25, 50, 75, 99)
"""Inner edges of the five length classes (Qiu et al., 2024, arXiv:2404.08509)."""
DECAY: Final = 0.25
MAX_SIGMA: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """What is forecast of n jobs: job i's forecast is `table[index[i]]`, and the table is short.

    Raises:
        ForecastError: an index points outside the table.
    """

    table: tuple[Forecast, ...]
    index: NDArray[np.int32]

    def __post_init__(self) -> None:
        if len(self.index) and not (self.index.min() >= 0 and self.index.max() < len(self.table)):
            raise ForecastError(f"an index points outside the table of {len(self.table)} forecasts")

    def __len__(self) -> int:
        return len(self.index)


def oracle(tokens: NDArray[np.int64]) -> Beliefs:
    """The truth: exact(o)."""
    return _exact(_lengths(tokens))


def noise(tokens: NDArray[np.int64], sigma: float = 0.5, *, seed: int = 0) -> Beliefs:
    """A point forecast with a log-normal error: exact(o x exp(sigma x N(0, 1))), rounded, at least 1."""
    truth = _lengths(tokens)
    if not 0 <= sigma <= MAX_SIGMA:
        raise ForecastError(f"sigma must lie in [0, {MAX_SIGMA}], got {sigma}")
    factor = np.exp(sigma * np.random.default_rng(seed).standard_normal(len(truth)))
    return _exact(np.clip(np.rint(truth * factor), 1, MAX_TOKENS).astype(np.int64))


def interval(tokens: NDArray[np.int64], low: int = 1, high: int = 1000) -> Beliefs:
    """One interval [low, high] for all; an answer outside it is a wrong forecast (arXiv:2508.14544)."""
    return Beliefs((Forecast.interval(low, high),), np.zeros(len(_lengths(tokens)), dtype=np.int32))


def bins(tokens: NDArray[np.int64], k: int = 10, high: int | None = None) -> Beliefs:
    """The bin of o among `k` equal bins of [1, high], 1 + floor(j high / k) .. floor((j + 1) high / k) for j < k.

    `high` is the longest answer unless given; longer answers fall in the last bin. Chen, Ye, Zhou, 2025,
    arXiv:2508.14544, use ten.
    """
    truth = _lengths(tokens)
    top = int(truth.max()) if high is None else high
    if not 1 <= k <= top <= MAX_TOKENS:
        raise ForecastError(f"need 1 <= bins <= high <= {MAX_TOKENS}, got {k} bins up to {top} tokens")
    used, index = np.unique(np.minimum((truth * k - 1) // top, k - 1), return_inverse=True)
    table = tuple(Forecast.interval(1 + j * top // k, (j + 1) * top // k) for j in used.tolist())
    return Beliefs(table, index.astype(np.int32))


def around(tokens: NDArray[np.int64], x: float = 0.5) -> Beliefs:
    """An interval about each truth: [max(1, floor(o (1 - x))), ceil(o (1 + x))] (arXiv:2508.14544)."""
    truth = _lengths(tokens)
    if not 0 <= x <= 1:
        raise ForecastError(f"x is a share in [0, 1], got {x}")
    distinct, index = np.unique(truth, return_inverse=True)
    # rounded first, because 70 x 1.1 is not 77 in binary
    low = np.maximum(np.floor(np.round(distinct * (1 - x), 6)), 1).astype(np.int64)
    high = np.ceil(np.round(distinct * (1 + x), 6)).astype(np.int64)
    table = tuple(Forecast.interval(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    return Beliefs(table, index.astype(np.int32))


def inverted(tokens: NDArray[np.int64]) -> Beliefs:
    """Adversarial: the longest is forecast to be the shortest, exact(max + min - o)."""
    truth = _lengths(tokens)
    return _exact(truth.max() + truth.min() - truth)


def none(tokens: NDArray[np.int64], limit: int | None = None) -> Beliefs:
    """No forecast but a token limit, the longest answer unless given."""
    truth = _lengths(tokens)
    return Beliefs((Forecast.unknown(int(truth.max()) if limit is None else limit),), np.zeros(len(truth), np.int32))


def percentile_edges(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """The edges 0, p25, p50, p75, p99, max of these lengths: class c holds edges[c] < o <= edges[c + 1]."""
    truth = _lengths(tokens)
    return np.array([0, *np.percentile(truth, PERCENTILES), truth.max()], dtype=np.float64)


def confusion_matrix(accuracy: float = 0.6, k: int = 5) -> NDArray[np.float64]:
    """A stated confusion: P(predicted j | true i) is `accuracy` for j = i, else proportional to 0.25^|i - j|.

    At the default, 60 % are right, as in arXiv:2404.08509, and most errors are one class off.
    """
    if not 0 <= accuracy <= 1 or not 2 <= k <= 15:
        raise ForecastError(f"need an accuracy in [0, 1] and 2 to 15 classes, got {accuracy} and {k}")
    matrix = DECAY ** np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    np.fill_diagonal(matrix, 0)
    matrix *= (1 - accuracy) / matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(matrix, accuracy)
    return matrix


def classes(
    tokens: NDArray[np.int64],
    accuracy: float | None = None,
    *,
    confusion: NDArray[np.float64] | None = None,
    predicted: NDArray[np.int64] | None = None,
    edges: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> Beliefs:
    """A length classifier: Forecast.classes(edges, P(true class | predicted class)) (Qiu et al., arXiv:2404.08509).

    The conditional is counted on these very jobs, so the forecast is calibrated in-sample; only its sharpness is that
    of a real classifier.

    Args:
        tokens: the true lengths.
        accuracy: draw predicted classes from `confusion_matrix(accuracy)`; 0.6 where none of the three is given.
        confusion: draw them from this matrix, P(predicted j | true i) in row i.
        predicted: take these predicted classes.
        edges: class limits in tokens, `percentile_edges(tokens)` unless given.
        seed: of the draw.
    """
    truth = _lengths(tokens)
    if sum(choice is not None for choice in (accuracy, confusion, predicted)) > 1:
        raise ForecastError("give one of accuracy, confusion and predicted")
    limits = percentile_edges(truth) if edges is None else np.asarray(edges, dtype=np.float64)
    k = len(limits) - 1
    if k < 2 or not (np.diff(limits) >= 0).all():
        raise ForecastError(f"edges must not decrease and make at least two classes, got {limits.tolist()}")
    true = _classes_of(truth, limits)
    if predicted is None:
        chosen = confusion_matrix(0.6 if accuracy is None else accuracy, k) if confusion is None else confusion
        predicted = _draw(true, np.asarray(chosen, dtype=np.float64), k, seed)
    elif len(predicted) != len(truth) or not (np.min(predicted) >= 0 and np.max(predicted) < k):
        raise ForecastError(f"need one predicted class in 0..{k - 1} for each of the {len(truth)} lengths")
    counts = np.zeros((k, k))
    np.add.at(counts, (predicted, true), 1)
    used, index = np.unique(predicted, return_inverse=True)
    table = tuple(Forecast.classes(limits.tolist(), counts[j].tolist()) for j in used)
    return Beliefs(table, index.astype(np.int32))


def real_classes(
    tokens: NDArray[np.int64], file_tokens: NDArray[np.int64], file_predicted: NDArray[np.int64], *, seed: int = 0
) -> Beliefs:
    """A real classifier's errors on any lengths: `classes` with the confusion counted in a file of its predictions.

    P(predicted | true percentile class) comes from the file's own lengths and predicted classes (of 5), such as the
    BERT of arXiv:2404.08509; each job draws from the row of its own percentile class.
    """
    limits = percentile_edges(file_tokens)
    k = len(limits) - 1
    if len(file_predicted) != len(file_tokens) or not (np.min(file_predicted) >= 0 and np.max(file_predicted) < k):
        raise ForecastError(f"need one predicted class in 0..{k - 1} for each of the file's lengths")
    counts = np.zeros((k, k))
    np.add.at(counts, (_classes_of(_lengths(file_tokens), limits), file_predicted), 1)
    rows = counts.sum(axis=1, keepdims=True)
    if rows.min() == 0:
        raise ForecastError(f"the file has no length in class {int(rows.argmin())}: use one with more rows")
    return classes(tokens, confusion=counts / rows, seed=seed)


class Source(NamedTuple):
    """One way to make forecasts: the function, its sentence, and how its spec's arguments are read."""

    function: Callable[..., Beliefs]
    doc: str
    arguments: tuple[Callable[[str], int | float], ...] = ()
    seeded: bool = False


SOURCES: Final[dict[str, Source]] = {
    "oracle": Source(oracle, "The true length."),
    "noise": Source(noise, "noise(sigma): the true length times a log-normal error.", (float,), seeded=True),
    "interval": Source(interval, "interval(low,high): the same interval for all.", (int, int)),
    "bins": Source(bins, "bins(k,high): which of k equal bins up to high tokens the length is in.", (int, int)),
    "around": Source(around, "around(x): the interval from o(1-x) to o(1+x) about the true length o.", (float,)),
    "classes": Source(
        classes, "classes(accuracy): a five-class classifier, the trace's own where it has one.", (float,), seeded=True
    ),
    "inverted": Source(inverted, "The longest is forecast to be the shortest."),
    "none": Source(none, "none(limit): no forecast, arrival order.", (int,)),
}


def beliefs(spec: str, tokens: NDArray[np.int64], predicted: NDArray[np.int64] | None = None, seed: int = 0) -> Beliefs:
    """Forecasts by name: `oracle`, `noise(0.5)`, `interval(1,1000)`, `bins(10)`, `classes`, ... (see `SOURCES`).

    `predicted` are a trace's predicted classes (-1: none); plain `classes` uses them, `classes(accuracy)` does not.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", spec)
    source = SOURCES.get(match[1]) if match else None
    if match is None or source is None:
        raise ForecastError(f"no forecasts {spec!r}; known: {', '.join(SOURCES)}")
    texts = [text.strip() for text in match[2].split(",")] if match[2] else []
    if len(texts) > len(source.arguments):
        raise ForecastError(f"{spec!r}: {match[1]} takes at most {len(source.arguments)} arguments. {source.doc}")
    try:
        values = [read(text) for read, text in zip(source.arguments, texts, strict=False)]
    except ValueError as error:
        raise ForecastError(f"{spec!r}: {error}. {source.doc}") from error
    if source.function is classes and not values and predicted is not None and np.max(predicted) >= 0:
        return classes(tokens, predicted=predicted)
    return source.function(tokens, *values, seed=seed) if source.seeded else source.function(tokens, *values)


def _lengths(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    lengths = np.asarray(tokens)
    if lengths.ndim != 1 or not len(lengths) or lengths.dtype.kind not in "iu":
        raise ForecastError(f"lengths are integers in one dimension, got {lengths.dtype} of shape {lengths.shape}")
    if not (lengths.min() >= 1 and lengths.max() <= MAX_TOKENS):
        raise ForecastError(f"lengths lie in 1..{MAX_TOKENS}, got {lengths.min()}..{lengths.max()}")
    return lengths.astype(np.int64)


def _exact(forecast: NDArray[np.int64]) -> Beliefs:
    distinct, index = np.unique(forecast, return_inverse=True)
    return Beliefs(tuple(Forecast.exact(n) for n in distinct.tolist()), index.astype(np.int32))


def _classes_of(tokens: NDArray[np.int64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.searchsorted(edges[1:-1], tokens, side="left").astype(np.int64)


def _draw(true: NDArray[np.int64], confusion: NDArray[np.float64], k: int, seed: int) -> NDArray[np.int64]:
    """One predicted class a job, from the confusion's row of its true class."""
    sums = confusion.sum(axis=1) if confusion.shape == (k, k) else np.zeros(1)
    if not (np.abs(sums - 1) < 1e-6).all() or confusion.min() < 0:
        raise ForecastError(f"a confusion matrix has shape ({k}, {k}), entries >= 0 and rows that sum to 1")
    inner = confusion.cumsum(axis=1)[true, :-1]
    drawn = np.random.default_rng(seed).random(len(true))
    predicted: NDArray[np.int64] = np.count_nonzero(drawn[:, None] >= inner, axis=1)
    return predicted

"""Tasks on classes of lengths, cut at percentiles of the training split."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from soonest.core import Forecast
from soonest.predict.encoder.tasks.task import Task
from soonest.predict.quantiles import LONGEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soonest.predict.encoder.tasks.task import Arrays, Floats

SUBCLASSES: Final = 15  # in all: what a forecast has room for


class Binary(Task):
    """Two classes, cut at the median; a class ends with its cut.

    Errors in rare classes weigh more, by 1/count, as in the paper; the forecast takes that back, so that its
    probabilities are those of answers as they come. Within a class, lengths are as in training.
    """

    name = "binary"
    losses = ("cross-entropy",)
    percentiles: ClassVar[tuple[int, ...]] = (50,)
    saved: ClassVar[Mapping[str, tuple[str, int]]] = {"cuts": ("f", 1), "counts": ("f", 1), "edges": ("f", 1)}
    cuts: Floats
    counts: Floats
    edges: Floats

    @property
    def width(self) -> int:
        """One output a class."""
        return len(self.percentiles) + 1

    def learn(self, tokens: Floats) -> None:
        """Where the classes meet, how many answers they hold, and how lengths lie inside them."""
        self.cuts = np.percentile(tokens, self.percentiles)
        classes = np.searchsorted(self.cuts, tokens)
        self.counts = np.bincount(classes, minlength=self.width).astype(np.float64)
        ends = [float(tokens.min()), *self.cuts.tolist(), float(tokens.max())]
        parts = SUBCLASSES // self.width
        edges = [ends[0]]
        for i in range(self.width):
            inside = tokens[classes == i]
            inner = np.quantile(inside, np.arange(1, parts) / parts) if len(inside) else np.full(parts - 1, ends[i])
            edges += [*np.clip(inner, ends[i], ends[i + 1]).tolist(), ends[i + 1]]
        self.edges = np.array(edges)

    @property
    def weights(self) -> Floats:
        """What an error weighs by class, of shape (width,): 1/count, a mean of 1 over the answers."""
        return np.asarray(self.counts.sum() / np.maximum(self.counts, 1) / max(np.count_nonzero(self.counts), 1))

    def targets(self, tokens: Floats) -> Floats:
        """The class, counted from 0."""
        return np.searchsorted(self.cuts, tokens).astype(np.float64)

    def shares(self, outputs: Floats) -> Floats:
        """Probabilities of the classes, of shape (n, width), for answers as they come."""
        logits = outputs + np.log(np.maximum(self.counts, 1e-9) / self.counts.sum())
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def scores(self, outputs: Floats) -> Floats:
        """The expected length."""
        parts = SUBCLASSES // self.width
        middles = ((self.edges[1:] + self.edges[:-1]) / 2).reshape(self.width, parts).mean(axis=1)
        return np.asarray(self.shares(outputs) @ middles)

    def forecasts(self, outputs: Floats, limits: Sequence[int]) -> list[Forecast]:
        """The classes, each in parts of equal probability."""
        parts = SUBCLASSES // self.width
        shares = np.repeat(self.shares(outputs) / parts, parts, axis=1).tolist()
        found = []
        for row, limit in zip(shares, limits, strict=True):
            edges = np.clip(self.edges, 1, max(1, min(limit, LONGEST))).tolist()
            found.append(replace(Forecast.classes(edges, row), coverage=None))
        return found

    def restore(self, arrays: Arrays) -> None:
        """Edges in order and a count for each class."""
        super().restore(arrays)
        sizes = len(self.cuts), len(self.counts), len(self.edges)
        if sizes != (self.width - 1, self.width, SUBCLASSES // self.width * self.width + 1):
            raise ValueError("'cuts', 'counts' and 'edges' are of other sizes")
        if (np.diff(self.edges) < 0).any() or self.edges[0] < 0 or (self.counts < 0).any() or self.counts.sum() <= 0:
            raise ValueError("'edges' do not rise, or 'counts' are none")


class Multiclass(Binary):
    """Five classes, cut at the percentiles 25, 50, 75 and 99 of the training split."""

    name = "multiclass"
    percentiles = (25, 50, 75, 99)

"""How long an engine's iterations take, from nothing but when its requests ran: no iteration was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import StepTimeError
from soonest.sim.steptime import MIN_ROWS, SECOND, Fit, StepTime, nonnegative

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.data.journal import Row

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Requests over a stretch of their lives, in which each takes part in `steps` iterations, evenly: shape (n,).

    `begin` and `end` are in seconds. `sequences` run together in a request, `prefill` tokens are computed in all, and
    the context is `context` tokens at first and `steps` more at the end.
    """

    begin: Floats
    end: Floats
    steps: Floats
    sequences: Floats
    prefill: Floats
    context: Floats


def fit_lives(rows: Sequence[Row]) -> Fit:
    """The step time under which the requests of a journal took as long as they did.

    A request of o tokens runs for o iterations, and each takes `iteration` + `per_sequence` x its sequences +
    `per_prefill_token` x its prefill tokens + `per_context_token` x its context. Summed over a request's life these are
    o, the tokens that all requests emitted meanwhile, the prompt tokens that were computed, and the context that was
    attended to: all known from when each was admitted, spoke first and ended, if each goes evenly. Least squares with
    coefficients >= 0, a request weighing as one over the square root of its tokens. Each engine's requests are summed
    for themselves; what never varies in the journal cannot be told apart from the rest, and need not be.

    `n` counts requests, and the errors are those of their times in the engine.

    Raises:
        StepTimeError: there are too few finished requests, or none took any time.
    """
    used = [row for row in rows if row.done and row.finished > row.admitted >= row.arrival]
    if len(used) < MIN_ROWS:
        raise StepTimeError(
            f"need at least {MIN_ROWS} finished requests to fit step times, got {len(used)}: give --step-time"
        )
    parts = [_equations([row for row in used if row.engine == name]) for name in sorted({row.engine for row in used})]
    design, seconds = (np.concatenate(found) for found in zip(*parts, strict=True))
    weight = 1 / np.sqrt(design[:, 0])
    told = design.max(axis=0) > 0
    found = np.zeros(design.shape[1])
    found[told] = nonnegative(design[:, told] * weight[:, None], seconds * weight)
    if found[0] + found[1] == 0:  # prompts explain everything, so the journal is no engine's
        found = np.array([seconds.sum() / design[:, 0].sum(), 0.0, 0.0, 0.0])
    return _fit(design, seconds, found)


def _fit(design: Floats, seconds: Floats, found: Floats) -> Fit:
    said = design @ found
    spread = float(((seconds - seconds.mean()) ** 2).sum())
    error = np.abs(said - seconds) / seconds
    iteration, sequence, prefill, context = (round(c * SECOND) for c in found.tolist())
    return Fit(
        StepTime(iteration, sequence, prefill, context),
        r2=1 - float(((said - seconds) ** 2).sum()) / spread if spread > 0 else 1.0,
        median_error=float(np.median(error)),
        p99_error=float(np.quantile(error, 0.99)),
        n=len(seconds),
    )


def _equations(rows: Sequence[Row]) -> tuple[Floats, Floats]:
    """One engine's requests: what their iterations add up to, of shape (n, 4), and their seconds."""
    start = min(row.admitted for row in rows)
    admitted = np.array([row.admitted - start for row in rows])
    finished = np.array([row.finished - start for row in rows])
    choices = np.array([min(max(1, row.choices), row.output_tokens) for row in rows], dtype=np.float64)
    tokens = np.array([row.output_tokens for row in rows]) / choices
    prompt = np.array([max(0, row.prompt_tokens) for row in rows], dtype=np.float64)
    computed = np.array([max(0, row.prompt_tokens - row.cached_tokens) for row in rows], dtype=np.float64)
    spoke = np.array([row.first_token - start for row in rows])
    guess = admitted + (finished - admitted) / tokens
    known = (spoke > admitted) & (spoke <= finished) & ((tokens > 1) | (spoke == finished))
    first = np.where(known & ((spoke < finished) | (tokens <= 1)), spoke, guess)
    none, one = np.zeros(len(rows)), np.ones(len(rows))
    speaking = (tokens > 1) & (first < finished)
    reading = _Stretch(admitted, first, one, choices, computed, prompt)
    decoding = _Stretch(first, finished, tokens - 1, choices, none, prompt + 1)
    stretches = [reading, _only(decoding, speaking)]
    moments, sums = _running_sums(stretches)
    over = np.searchsorted(moments, finished), np.searchsorted(moments, admitted)
    return np.column_stack([tokens, *(column[over[0]] - column[over[1]] for column in sums)]), finished - admitted


def _only(stretch: _Stretch, rows: NDArray[np.bool_]) -> _Stretch:
    names = _Stretch.__dataclass_fields__
    return _Stretch(**{name: getattr(stretch, name)[rows] for name in names})


def _running_sums(stretches: Sequence[_Stretch]) -> tuple[Floats, list[Floats]]:
    """Moments at which something begins or ends, and the sequences, prefill and context of all iterations before."""
    begin, end, steps, sequences, prefill, context = (
        np.concatenate([getattr(s, name) for s in stretches]) for name in _Stretch.__dataclass_fields__
    )
    moments = np.unique(np.concatenate([begin, end]))
    at = np.searchsorted(moments, begin), np.searchsorted(moments, end)
    pace = steps / (end - begin)  # iterations a second
    slope = sequences * pace * pace  # of the context, as the answers grow
    level = sequences * pace * context - slope * begin

    def rate(share: Floats) -> Floats:
        change = np.zeros(len(moments))
        np.add.at(change, at[0], share)
        np.subtract.at(change, at[1], share)
        return np.cumsum(change)[:-1]

    gaps, middles = np.diff(moments), (moments[1:] + moments[:-1]) / 2
    grown = (
        rate(sequences * pace) * gaps,
        rate(prefill / (end - begin)) * gaps,
        np.maximum(rate(level) + rate(slope) * middles, 0) * gaps,  # linear between moments, so the middle is the mean
    )
    return moments, [np.concatenate([[0.0], np.cumsum(part)]) for part in grown]

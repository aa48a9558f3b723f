"""All measures of a set of forecasts beside the lengths that came."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import SoonestError
from soonest.report.forecasts import intervals, points, rank
from soonest.report.forecasts.columns import Columns
from soonest.report.forecasts.points import Training

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.core import Forecast
    from soonest.report.forecasts.intervals import Part


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was measured, by the names of `FORECAST_MEASURES`; `nan` is what nothing defines.

    `deciles` are the answers in tenths by expected tokens, `calibration` pairs of nominal level and observed share.
    """

    measures: Mapping[str, float]
    deciles: tuple[Part, ...]
    calibration: tuple[tuple[float, float], ...]


def assess(
    forecasts: Sequence[Forecast],
    tokens: Sequence[int] | NDArray[np.int64],
    censored: Sequence[bool] | NDArray[np.bool_],
    groups: Sequence[object] | NDArray[np.generic],
    train_tokens: Training | Sequence[int] | NDArray[np.int64],
) -> Assessment:
    """Measure forecasts on answers of `tokens`, `censored` where they were cut; a group is a conversation.

    Of the lengths learned from, `train_tokens`, come the edges of the classes and the median to compare with. An
    unknown forecast expects their mean, as hosts have it do; it is in no measure of intervals or quantiles.

    Raises:
        SoonestError: there is no answer, or columns differ in length.
    """
    sizes = [len(column) for column in (forecasts, tokens, censored, groups)]
    if len(set(sizes)) > 1 or not sizes[0]:
        raise SoonestError(f"need a forecast, a length, a cut and a group for each answer, got columns of {sizes}")
    training = train_tokens if isinstance(train_tokens, Training) else Training.of(train_tokens)
    rows, truth, cut = Columns.of(forecasts), np.asarray(tokens, np.int64), np.asarray(censored, np.bool_)
    known = rows.known
    expected = np.where(known, rows.expected, training.mean)
    told, lengths = rows.take(known), truth[known]
    hits = intervals.covered(told, lengths, cut[known])
    share = intervals.coverage(hits, np.asarray(groups)[known])
    parts, curve = intervals.deciles(told, hits), intervals.calibration(told, lengths)
    measures = {
        "answers": float(len(truth)),
        "unknown": float(1 - known.mean()),
        "censored": float(cut.mean()),
        "kendall_tau": rank.kendall_tau(expected, truth),
        "spearman": rank.spearman(expected, truth),
        "pairwise_accuracy": rank.pairwise_accuracy(expected, truth),
        **_points(rows, truth, training),
        "pinball": intervals.pinball(told, lengths),
        "interval_score": intervals.interval_score(told, lengths),
        "coverage": share.value,
        "coverage_low": share.low,
        "coverage_high": share.high,
        "coverage_promised": _mean(told.promised),
        "coverage_worst_decile": intervals.worst_decile(parts),
        "width_mean": intervals.width_mean(told),
        "width_median": intervals.width_median(told),
        "calibration_error": intervals.calibration_error(curve),
        **{f"train_p{p}": edge for p, edge in zip(points.PERCENTILES, training.edges, strict=True)},
        "train_mean": training.mean,
    }
    return Assessment(measures, parts, curve)


def _points(rows: Columns, truth: NDArray[np.int64], training: Training) -> dict[str, float]:
    """The measures of single numbers and of classes."""
    median = np.where(rows.known, rows.quantile(0.5), training.median)
    constant = np.full(len(truth), training.median)
    forecast, true = training.likeliest(rows), training.classes(truth)
    return {
        "mae": points.mae(median, truth),
        "mae_constant": points.mae(constant, truth),
        "rmse": points.rmse(median, truth),
        "rmse_constant": points.rmse(constant, truth),
        "accuracy": points.accuracy(forecast, true),
        "macro_f1": points.macro_f1(forecast, true),
    }


def _mean(promised: NDArray[np.float64]) -> float:
    """The mean promise; none if any forecast makes none."""
    return float(promised.mean()) if len(promised) else math.nan

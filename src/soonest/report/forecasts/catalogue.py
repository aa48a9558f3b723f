"""Every measure of forecasts by name, for tables and the documentation."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from soonest.report.catalogue import Measure
from soonest.report.forecasts import intervals, points, rank
from soonest.report.forecasts.speed import speed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KENDALL: Final = "(right - wrong) / sqrt((pairs - forecast ties) (pairs - truth ties))"
PINBALL: Final = "mean over levels l and answers of max(l (length - q), (1 - l) (q - length)), q = quantile at l"
COVERAGE: Final = "mean(low <= length <= high)"
BOUND: Final = "p ± t sqrt(g/(g-1) sum over g groups of (sum of (hit - p))^2) / n"
SSJF: Final = "SSJF (arXiv:2404.08509)"


def _measures() -> dict[str, Measure]:
    found: dict[str, Measure] = {}

    def add(
        key: str, label: str, unit: str, formula: str, source: str, function: Callable[..., object] | None = None
    ) -> None:
        found[key] = Measure(label, unit, formula, source, key, function)

    add("answers", "answers", "answers", "count(answers)", "soonest")
    add("unknown", "unknown forecasts", "share", "mean(not known)", "soonest")
    add("censored", "cut answers", "share", "mean(censored)", "soonest")
    add("kendall_tau", "Kendall's tau-b", "correlation", KENDALL, "Kendall, 1945 (tau-b)", rank.kendall_tau)
    add(
        "spearman",
        "Spearman's rho",
        "correlation",
        "Pearson's correlation of the ranks",
        "Spearman, 1904",
        rank.spearman,
    )
    add(
        "pairwise_accuracy",
        "pairs in order",
        "share",
        "(right + forecast ties / 2) / pairs of different truth",
        SSJF,
        rank.pairwise_accuracy,
    )
    add("mae", "MAE", "tokens", "mean(|median - length|)", SSJF, points.mae)
    add("mae_constant", "MAE of the training median", "tokens", "mean(|training median - length|)", SSJF)
    add("rmse", "RMSE", "tokens", "sqrt(mean((median - length)^2))", SSJF, points.rmse)
    add("rmse_constant", "RMSE of the training median", "tokens", "sqrt(mean((training median - length)^2))", SSJF)
    add("accuracy", "five-class accuracy", "share", "mean(class = forecast class)", SSJF, points.accuracy)
    add("macro_f1", "macro F1", "share", "mean over classes of 2 hits / (forecast + true)", SSJF, points.macro_f1)
    add("pinball", "pinball loss", "tokens", PINBALL, "Koenker and Bassett, 1978", intervals.pinball)
    add(
        "interval_score",
        "interval score",
        "tokens",
        "mean(high - low + 2/alpha (distance outside)), alpha = 1 - promised coverage",
        "Gneiting and Raftery, 2007",
        intervals.interval_score,
    )
    add("coverage", "coverage", "share", COVERAGE, "Liang and Zeger, 1986", intervals.coverage)
    add("coverage_low", "coverage, lower 95 % bound", "share", BOUND, "Liang and Zeger, 1986")
    add("coverage_high", "coverage, upper 95 % bound", "share", BOUND, "Liang and Zeger, 1986")
    add("coverage_promised", "coverage promised", "share", "mean(promised coverage)", "soonest")
    add(
        "coverage_worst_decile",
        "coverage, worst decile",
        "share",
        f"min over deciles of expected tokens of {COVERAGE}",
        "soonest",
        intervals.worst_decile,
    )
    add("width_mean", "width, mean", "tokens", "mean(high - low)", "soonest", intervals.width_mean)
    add("width_median", "width, median", "tokens", "median(high - low)", "soonest", intervals.width_median)
    add(
        "calibration_error",
        "calibration error",
        "share",
        "mean over the levels 5 %, ..., 95 % of |observed - nominal|",
        "soonest",
        intervals.calibration_error,
    )
    for kind, about in (("one", "one prompt"), ("batch", "a prompt in a batch of 64")):
        for p in ("p50", "p99"):
            formula = "wall time of Prompt.from_body and predict / prompts"
            add(f"us_{kind}_{p}", f"time of {about}, {p}", "µs", formula, "soonest", speed)
    for percent in points.PERCENTILES:
        add(
            f"train_p{percent}",
            f"training p{percent}",
            "tokens",
            f"percentile {percent} of the lengths learned from",
            SSJF,
        )
    add("train_mean", "training mean", "tokens", "mean of the lengths learned from", "soonest")
    return found


FORECAST_MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(_measures())

"""How measures are shown: tables, the calibration plot, and the time of a forecast."""

import math
import subprocess
import sys

import pytest

from soonest.core import Forecast, Prompt, SoonestError
from soonest.report.forecasts import (
    FORECAST_MEASURES,
    assess,
    assessment_markdown,
    assessment_table,
    plot_calibration,
    speed,
)

MEASURED = assess([Forecast.interval(1, 9)] * 3, [5, 6, 12], [False] * 3, [1, 2, 3], range(1, 20)).measures
CURVES = {"text": [(0.1, 0.15), (0.9, 0.85)], "constant <b>$x$": [(0.1, 0.1), (0.9, 0.9)]}
PROMPTS = [Prompt.of(f"question {i}", model="m") for i in range(20)]


def text_of(table):
    from rich.console import Console

    console = Console(width=120, color_system=None)
    with console.capture() as held:
        console.print(table)
    return held.get()


def test_a_table_has_a_row_for_each_measure_and_a_column_for_each_predictor():
    shown = text_of(assessment_table({"text": MEASURED, "conformal(text)": MEASURED}))
    assert "conformal(text)" in shown
    rows = {line.split("|")[1].strip() for line in shown.splitlines() if line.count("|") == 5}
    hidden = {name for name in MEASURED if name.startswith("train_")} | {"coverage_low", "coverage_high"}
    assert rows >= {FORECAST_MEASURES[name].label for name in set(MEASURED) - hidden}
    assert rows.isdisjoint(FORECAST_MEASURES[name].label for name in hidden)


def test_a_measure_that_one_predictor_lacks_is_a_dash():
    lines = assessment_markdown({"a": MEASURED, "b": {**MEASURED, "us_one_p50": 12.34}}).splitlines()
    (row,) = [line for line in lines if line.startswith("| time of one prompt, p50")]
    assert row == "| time of one prompt, p50 | µs | - | 12.3 |"


def test_coverage_is_shown_with_its_interval_and_what_is_undefined_with_a_dash():
    lines = assessment_markdown({"a|b": MEASURED}).splitlines()
    assert lines[0] == r"| measure | unit | a\|b |"
    (row,) = [line for line in lines if line.startswith("| coverage |")]
    assert row == "| coverage | share | 0.667 (0-1.00) |"
    assert "| Kendall's tau-b | correlation | - |" in lines
    assert math.isnan(MEASURED["kendall_tau"])


def test_a_table_of_nobody_is_refused():
    with pytest.raises(SoonestError, match="at least one predictor"):
        assessment_table({})


def test_a_calibration_plot_made_twice_is_the_same_file(tmp_path):
    for name in ("one", "two"):
        plot_calibration(tmp_path / f"{name}.png", CURVES, "held-out <answers>")
    one, two = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.startswith(b"\x89PNG")


def test_a_plot_of_nothing_and_a_missing_library_are_refused(tmp_path, monkeypatch):
    with pytest.raises(SoonestError, match="nothing to draw"):
        plot_calibration(tmp_path / "x.png", {"unknown": ()}, "")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SoonestError, match=r"pip install 'soonest\[plot\]'"):
        plot_calibration(tmp_path / "x.png", CURVES, "")
    assert not list(tmp_path.iterdir())


def test_the_time_of_a_forecast_grows_with_its_work_and_batches_share_it():
    def work(prompts):
        sum(range(200_000))  # once a call
        return [Forecast.exact(len(prompt.text)) for prompt in prompts]

    idle, busy = (speed(predict, PROMPTS, batch=10) for predict in (lambda p: [Forecast.exact(1)] * len(p), work))
    assert set(busy) == {name for name in FORECAST_MEASURES if name.startswith("us_")}
    assert idle["us_one_p50"] < busy["us_one_p50"] / 5
    assert busy["us_batch_p50"] < busy["us_one_p50"] / 2
    assert busy["us_one_p50"] <= busy["us_one_p99"]


def test_a_timed_predictor_is_asked_what_a_chat_request_says():
    seen = []
    speed(lambda prompts: seen.extend(prompts) or [], PROMPTS)
    assert set(seen) == set(PROMPTS)
    with pytest.raises(SoonestError, match="at least one prompt"):
        speed(list, [])


def test_measuring_loads_nothing_heavy():
    heavy = "{'matplotlib', 'plotly', 'scipy', 'rich', 'sklearn'}"
    code = f"import sys, soonest.report.forecasts; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

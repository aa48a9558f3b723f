"""What was simulated or measured, as a study: the numbers of the table, curves of what finished, all conditions."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from tests.report.study.test_pages import STUDY

from soonest.core import Outcome, Record, Records, SoonestError
from soonest.report import Row, summarise
from soonest.report.forecasts.assess import Assessment
from soonest.report.forecasts.intervals import Part
from soonest.report.study.assessed import assessment
from soonest.report.study.compared import against_load, comparison, conditions, every_measure
from soonest.report.study.html import check_page, page, write_page


def run(*seconds, outcome=Outcome.FINISHED):
    """Requests that arrive at once and take so long."""
    return Records.of([Record(str(i), 0, 0, s / 2, s, 1, 2, outcome=outcome) for i, s in enumerate(seconds)])


FAST, SLOW, NONE = run(1, 2, 3), run(2, 4, 9), run(5.0, outcome=Outcome.REJECTED)
ROWS = [Row("fcfs", [summarise(SLOW)]), Row("shortest", [summarise(FAST)])]
TWICE = [Row("fcfs", [summarise(SLOW), summarise(SLOW)]), Row("shortest", [summarise(FAST), summarise(run(2, 2, 5))])]


def test_a_section_has_the_table_and_the_distributions_of_all_repetitions_together():
    section = comparison("load 1", TWICE, {"fcfs": [SLOW, SLOW], "shortest": [FAST, run(2, 2, 5)]}, ["said"])
    (table,) = section.grids
    assert table.headings[:3] == ("policy", "mean JCT s", "gain %")
    assert [row[:2] for row in table.rows] == [("fcfs", "5.00"), ("shortest", "2.50")]
    assert section.text[-1] == "said"
    completion, first = section.charts
    assert [curve.name for curve in completion.curves] == ["fcfs", "shortest"]
    assert completion.curves[1].x == (1, 2, 2, 2, 3, 5)
    assert first.curves[1].x == (0.5, 1, 1, 1, 1.5, 2.5)
    assert completion.curves[1].y[-1] == 100


def test_what_did_not_finish_is_in_no_curve_and_no_chart_is_empty():
    with_none = comparison("", ROWS, {"fcfs": [NONE], "shortest": [FAST, NONE]})
    assert [curve.name for curve in with_none.charts[0].curves] == ["shortest"]
    assert len(with_none.charts[0].curves[0].x) == 3
    assert comparison("", ROWS, {"fcfs": [NONE]}).charts == ()
    assert comparison("", ROWS, {}).charts == ()


def test_a_long_run_is_drawn_with_few_points_and_its_whole_tail():
    seconds = np.random.default_rng(1).lognormal(2, 2, 20_000)
    (chart, _) = comparison("", ROWS, {"fcfs": [run(*seconds)]}).charts
    (curve,) = chart.curves
    assert len(curve.x) <= 500
    assert curve.x[-50:] == pytest.approx(np.sort(seconds)[-50:], rel=1e-4)


def test_every_measure_stands_under_its_json_name_and_unknown_ones_do_not():
    one, two = every_measure({"a": ROWS, "b": TWICE}).grids
    counts = {row[0]: row[1:] for row in one.rows}
    assert counts["completed"] == (3, 3)
    assert counts["mean_e2el_ms"] == (5000, 2000)
    assert "mean_itl_ms" not in counts
    assert {row[0]: row[2] for row in two.rows}["mean_e2el_ms"] == 2500


def test_loads_are_in_order_with_bands_above_zero():
    wide = [Row("fcfs", [summarise(run(1)), summarise(run(9))])]
    mean, p99, longest = against_load({1.1: wide, 0.5: [Row("fcfs", [summarise(FAST)] * 2)]}).charts
    (curve,) = mean.curves
    assert curve.x == (0.5, 1.1)
    assert curve.y == (2, 5)
    assert curve.low[0] == curve.high[0] == 2
    assert 0 < curve.low[1] < 5 < curve.high[1]
    assert (p99.curves[0].y[1], longest.curves[0].y) == (5, (3, 5))


def test_conditions_are_flat_and_what_plays_no_part_is_left_out():
    (grid,) = conditions({"seed": 0, "rules": {"slots": 4, "blocks": None}, "arms": ["a", "b"], "late": False}).grids
    assert grid.rows == (("seed", "0"), ("rules.slots", "4"), ("arms", "a, b"), ("late", "False"))


def test_forecasts_are_a_table_a_calibration_and_tenths_and_a_silent_one_is_in_the_table_alone():
    spoken = Assessment({"answers": 20.0}, (Part(10.0, 20, 0.9),), ((0.05, 0.1), (0.95, 0.9)))
    silent = Assessment({"answers": 20.0}, (), ())
    table, calibration, tenths = assessment("Measures", {"good": spoken, "silent": silent})
    assert table.grids[0].headings == ("measure", "unit", "good", "silent")
    assert [curve.name for curve in calibration.charts[0].curves] == ["good", "as promised"]
    assert calibration.grids[0].rows == ((5, 10), (95, 90))
    assert tenths.grids[0].rows == (("good", 1, 20, 10.0, 90.0),)
    assert len(assessment("Measures", {"silent": silent})) == 1


def test_a_page_of_it_is_drawn_and_small_beside_plotly():
    section = comparison("load 1", ROWS, {"fcfs": [run(*range(1, 3000))], "shortest": [FAST]})
    empty = len(page([replace(STUDY, sections=())]))
    assert len(page([replace(STUDY, sections=(section,))])) < empty + 100_000


@pytest.mark.parametrize(
    ("name", "remedy"), [("page.png", "name it .html"), ("nowhere/page.html", "there is no folder nowhere")]
)
def test_a_page_that_cannot_be_written_is_refused(tmp_path, monkeypatch, name, remedy):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SoonestError, match=remedy):
        check_page(name)


def test_a_missing_library_is_named_with_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(SoonestError, match=r"--html needs Plotly: pip install 'soonest\[plot\]'"):
        write_page(tmp_path / "page.html", [STUDY])
    assert not list(tmp_path.iterdir())

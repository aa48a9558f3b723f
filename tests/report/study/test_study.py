"""A study survives its file."""

import json
import math

import pytest

from soonest.report.study import Chart, Curve, Grid, Section, Study
from soonest.report.study.markdown import draw


def test_a_study_read_back_is_the_one_written(tmp_path):
    curve = Curve("shortest", (0.5, 1.0), (1.25, 2.0), (1.0, 1.5), (1.5, 2.5))
    section = Section(
        "Rates",
        ("One sentence.", "µ and ≤"),
        (Grid("JCT (s)", ("policy", "mean"), (("fcfs", 84.5), ("sjf", None))),),
        (Chart("JCT", "load", "s", (curve, Curve("fcfs", (1.0,), (2.0,))), log_y=True),),
    )
    study = Study("ssjf", "SSJF", "soonest reproduce ssjf", 7, {"soonest": "0.1"}, "2 cores", 1.5, (section,))
    path = tmp_path / "ssjf.json"
    path.write_text(study.to_json(), encoding="utf-8")
    assert Study.read(path) == study


def test_what_is_not_finite_is_nothing_in_the_file():
    curve = Curve("a_max", (1.0, 2.0, 3.0), (math.inf, 2.0, math.nan), (-math.inf, 1.0, 1.0), (math.inf, 3.0, 1.0))
    grid = Grid("JCT (s)", ("policy", "mean"), (("fcfs", math.inf), ("sjf", 1.5)))
    study = Study(
        "x", "X", "make", 7, {}, "2 cores", 1.5, (Section("Rates", (), (grid,), (Chart("J", "l", "s", (curve,)),)),)
    )
    text = study.to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    (section,) = Study.from_json(text).sections
    assert section.grids[0].rows == (("fcfs", None), ("sjf", 1.5))
    (read,) = section.charts[0].curves
    assert [math.isnan(value) for value in read.y] == [True, False, True]
    assert read.low[1:] == (1.0, 1.0)
    assert draw(section.charts[0]).startswith(b"\x89PNG")
    assert Study.from_json(text).to_json() == text

"""A study survives its file."""

from soonest.report.study import Chart, Curve, Grid, Section, Study


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

"""Pictures."""

import subprocess
import sys

import numpy as np
import pytest

from soonest.core import Record, Records, SoonestError
from soonest.report import Interval, plot, plot_latency, plot_load
from soonest.report.plots import COLOURS, _drawing, _pooled

LATENCIES = {"fcfs": np.arange(1.0, 101), "shortest": np.geomspace(0.1, 300, 500)}
BY_LOAD = {
    "fcfs": [(1.2, Interval(9.0, 20.0), Interval(30.0, 3.0)), (0.4, Interval(2.0, 0.5), Interval(4.0, None))],
    "shortest": [(0.4, Interval(1.0, 0.5), Interval(4.0, 0.5))],
}
RUN = Records.of([Record("a", 0, 0, 1, 2, 1, 1), Record("b", 0, 0, 1, 6, 1, 1)])
TITLE = "Poisson arrivals, 4 slots, load $1.2$ <all>"


def size(path):
    """Width and height that a PNG states."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def test_a_picture_has_a_panel_for_each_thing_given(tmp_path):
    plot(tmp_path / "both.png", LATENCIES, BY_LOAD, TITLE)
    plot_latency({"fcfs": [RUN], "shortest": LATENCIES["shortest"]}, tmp_path / "latency.PNG", TITLE)
    plot_load(BY_LOAD, tmp_path / "load.png", TITLE)
    wide, one, other = (size(tmp_path / name) for name in ("both.png", "latency.PNG", "load.png"))
    assert one == other
    assert wide[0] > 1.5 * one[0]


def test_each_panel_has_a_title_of_its_own(tmp_path):
    panels = ("load <1.2>; 3 repetitions pooled", "means of 3 repetitions")
    plot(tmp_path / "without.png", LATENCIES, BY_LOAD, TITLE)
    plot(tmp_path / "both.png", LATENCIES, BY_LOAD, TITLE, panels=panels)
    plot(tmp_path / "right.png", None, BY_LOAD, TITLE, panels=panels)
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in ("without", "both", "right")}) == 3


def test_a_drawing_made_twice_is_the_same_file(tmp_path):
    for name in ("one", "two"):
        plot(tmp_path / f"{name}.png", LATENCIES, BY_LOAD, TITLE)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_curve_rises_to_all_requests_and_keeps_the_tail():
    seconds = np.sort(np.random.default_rng(1).lognormal(2, 2, 50_000))
    (curve,) = _drawing({"fcfs": seconds}, {}, "", "").curves
    assert (np.diff(curve.seconds) >= 0).all()
    assert (np.diff(curve.percent) > 0).all()
    assert curve.percent[-1] == 100
    assert curve.seconds[-100:].tolist() == seconds[-100:].tolist()
    assert len(curve.seconds) <= 2100
    assert np.abs(np.interp(curve.seconds, seconds, np.linspace(0, 100, 50_000)) - curve.percent).max() < 0.1


def test_repetitions_are_pooled_and_unfinished_requests_left_out():
    assert _pooled([RUN, RUN]).tolist() == [2, 6, 2, 6]
    assert _pooled([]).tolist() == []
    (curve,) = _drawing({"fcfs": np.array([3.0, np.nan])}, {}, "", "").curves
    assert curve.mean == 3


def test_loads_are_sorted_and_bands_stay_above_zero():
    mean, p99, *_ = _drawing({}, BY_LOAD, "", "").bands
    assert mean.load.tolist() == [0.4, 1.2]
    assert mean.low[1] > 0
    assert mean.high.tolist() == [2.5, 29.0]
    assert p99.low[0] == p99.high[0] == 4  # one repetition: no band


def test_a_policy_keeps_its_colour_in_both_panels():
    drawing = _drawing(LATENCIES, {"a_min": BY_LOAD["fcfs"], **BY_LOAD}, "", "")
    colours = {curve.name: curve.colour for curve in drawing.curves}
    assert {band.name: band.colour for band in drawing.bands} == {**colours, "a_min": COLOURS[2]}


def test_odd_runs_can_be_drawn(tmp_path):
    odd = {"at once": np.zeros(3), "equal": np.full(5, 2.0), "one": np.array([7.0]), "none": np.array([])}
    many = {f"policy {i}": np.array([1.0, i + 2]) for i in range(20)}
    for name, latencies in (("odd", odd), ("many", many), ("zero", {"at once": np.zeros(2)})):
        plot(tmp_path / f"{name}.png", latencies, None, TITLE)
        assert (tmp_path / f"{name}.png").stat().st_size > 1000


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_another_suffix_is_refused_with_what_there_is(tmp_path, suffix):
    with pytest.raises(SoonestError, match=rf"'x\.{suffix}': name it \.png; a page to explore is what --html writes"):
        plot(tmp_path / f"x.{suffix}", LATENCIES, None, TITLE)


def test_nothing_finished_is_nothing_to_draw(tmp_path):
    with pytest.raises(SoonestError, match="no request finished"):
        plot(tmp_path / "x.png", {"fcfs": np.array([])}, {}, TITLE)


def test_a_missing_library_is_named_with_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SoonestError, match=r"a picture needs Matplotlib: pip install 'soonest\[plot\]'"):
        plot(tmp_path / "x.png", LATENCIES, None, TITLE)
    assert not list(tmp_path.iterdir())


def test_the_report_room_loads_no_plotting_library_by_itself():
    heavy = "{'matplotlib', 'plotly', 'scipy', 'rich'}"
    code = f"import sys, soonest.report; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

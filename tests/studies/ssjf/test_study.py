"""The SSJF study as a whole, small: every part is there, and its figures are those of its runs."""

import gzip
import json
import shutil
import sys

import numpy as np
import pytest

from soonest.core import Rules, SoonestError
from soonest.data import poisson
from soonest.sim import Options, StepTime, Workload, simulate
from soonest.sim.forecasts import oracle
from soonest.studies.reproduction import Settings
from soonest.studies.ssjf import corrected, findings, own, reproduce, switches, tables, twenty
from soonest.studies.ssjf.jobs import AZURE, LENGTHS, Point
from soonest.studies.ssjf.published import SECOND, Faults, Jobs, Mode
from soonest.studies.ssjf.runs import ARMS, FCFS, MEASURES, Setting, measures, run
from soonest.studies.ssjf.tables import ALONE


def silent(_what, _done, _of):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of data sets, made up: classes that are mostly right, prompts that tell their lengths."""
    folder, chance = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (folder / "arrivals").mkdir()
    (folder / "lengths").mkdir()
    tokens = np.clip(chance.lognormal(4.6, 1.0, 5000).astype(int), 1, 3000)
    guess = tokens * chance.lognormal(0, 0.5, 5000)
    five = np.searchsorted(np.percentile(tokens, (25, 50, 75, 99)), guess)
    three = np.searchsorted(np.percentile(tokens, (50, 99)), guess)
    rows = [f"{t},{a},{b}" for t, a, b in zip(tokens, three, five, strict=True)]
    write(folder / LENGTHS, ["output_tokens,pred_class3,pred_class5", *rows])
    times = np.cumsum(chance.exponential(0.2, 400))
    write(folder / AZURE, ["timestamp_s,prompt_tokens,output_tokens", *(f"{t:.4f},10,20" for t in times)])
    count = chance.integers(1, 40, 400).tolist()
    lines = [{"prompt": f"count to {n}, case {i}", "output_tokens": 3 * n, "output_tokens_t07": 3 * n + 1}
             for i, n in enumerate(count)]  # fmt: skip
    write(folder / own.PROMPTS, map(json.dumps, lines))
    return folder


def write(path, lines):
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.fixture
def small(monkeypatch):
    """Everything, with few runs of few jobs."""
    for module, name, value in (
        (twenty, "RUNS", 3),
        (twenty, "RESAMPLES", 50),
        (tables, "RUNS", 4),
        (switches, "RUNS", 2),
        (switches, "COUNTS", (50, 60)),
        (findings, "RUNS", 2),
        (findings, "JOBS", 60),
        (findings, "COUNTS", (50, 60)),
        (findings, "LOADS", (0.5, 0.9, 1.2)),
        (findings, "CVS", (1.0, 2.0)),
        (own, "JOBS", 50),
        (own, "SERVE", 150),
        (own, "LEARN", 200),
        (own, "SHOWN", own.SHOWN[:2]),
        (corrected, "SATURATING", 300),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(Settings, "repetitions", lambda _self, usual, _least=2: usual)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_the_whole_study_says_what_stands_with_every_part_of_it(data):
    settings = Settings(seed=5, data=data)
    study = reproduce(settings, silent)
    titles = [section.title for section in study.sections]
    assert titles[0] == "What stands"
    assert study.answer is study.sections[0]
    assert "What each fault is worth" in titles
    assert "Corrected: the project's own forecasts" in titles
    assert study.seed == 5
    for section in study.sections:
        assert section.grids or section.charts or section.text
        for grid in section.grids:
            assert {len(row) for row in grid.rows} == {len(grid.headings)}, grid.caption
        for curve in (curve for chart in section.charts for curve in chart.curves):
            assert len(curve.x) == len(curve.y)
            assert np.isfinite(curve.y).all()


def test_corrected_runs_are_the_same_for_the_same_seed(data):
    cases = [corrected.Case("continuous B=4", process, 0.9, 60) for process in corrected.PROCESSES]
    first, second, other = (corrected.simulated(cases, 2, Settings(seed, data=data), silent, "x") for seed in (1, 1, 2))
    assert all((first[case] == second[case]).all() for case in cases)
    assert not any((first[case] == other[case]).all() for case in cases)


@pytest.fixture
def few_suffice(monkeypatch):
    """Files of some hundred rows are large enough."""
    for module, name, value in (
        (findings, "JOBS", 60),
        (own, "JOBS", 50),
        (own, "LEARN", 200),
        (corrected, "SATURATING", 300),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(Settings, "repetitions", lambda _self, usual, _least=2: usual)


@pytest.fixture
def no_work(monkeypatch):
    """What would take long fails at once."""

    def work(*_):
        pytest.fail("work has begun")

    for module, name in ((tables, "run_published"), (switches, "run_switches"), (findings, "run_corrected")):
        monkeypatch.setattr(module, name, work)


def copied(data, folder, changed, content=None):
    """The data with one file changed, or without it."""
    shutil.copytree(data, folder, dirs_exist_ok=True)
    (folder / changed).unlink()
    if content is not None:
        write(folder / changed, content)
    return Settings(data=folder)


@pytest.mark.usefixtures("few_suffice", "no_work")
@pytest.mark.parametrize("name", [LENGTHS, AZURE, own.PROMPTS])
def test_a_missing_file_is_named_before_any_work(data, tmp_path, name):
    with pytest.raises(SoonestError, match=f"there is no {name}"):
        reproduce(copied(data, tmp_path, name), silent)


@pytest.mark.usefixtures("few_suffice", "no_work")
@pytest.mark.parametrize("module", ["lightgbm", "sklearn"])
def test_a_missing_package_is_named_before_any_work(data, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SoonestError, match=r"pip install 'soonest\[text\]'"):
        reproduce(Settings(data=data), silent)


def prompts(count=400, **changed):
    """Rows of the file of prompts; a column is left out where it is changed to nothing."""
    rows = ({"prompt": f"case {i}", "output_tokens": 3, "output_tokens_t07": 4} | changed for i in range(count))
    return [json.dumps({name: value for name, value in row.items() if value is not None}) for row in rows]


CALLS = [f"{i / 5},10,20" for i in range(400)]
ROWS = ["10,0,1"] * 400
UNFIT = {
    "no second answer": (own.PROMPTS, prompts(output_tokens_t07=None), "output_tokens_t07"),
    "a second answer of none": (
        own.PROMPTS,
        [*prompts(), *prompts(1, output_tokens_t07=0)],
        "1 in 'output_tokens_t07'.*leave such",
    ),
    "a second answer of words": (own.PROMPTS, prompts(output_tokens_t07="few"), "line 1, column 'output_tokens_t07'"),
    "few prompts": (own.PROMPTS, prompts(210), "leaves 10 others.*give more prompts"),
    "no class": (LENGTHS, ["output_tokens,pred_class3", "10,0"], "column 'pred_class5' is missing"),
    "a class of words": (
        LENGTHS,
        ["output_tokens,pred_class3,pred_class5", *ROWS, "9,0,long"],
        "line 402.*pred_class5",
    ),
    "a sixth class": (LENGTHS, ["output_tokens,pred_class3,pred_class5", *ROWS, "9,0,5"], "line 402.*pred_class5"),
    "half a row": (LENGTHS, ["output_tokens,pred_class3,pred_class5", *ROWS, "9,0"], "line 402"),
    "few answers": (LENGTHS, ["output_tokens,pred_class3,pred_class5", *ROWS[:299]], "299 answers.*draws 300"),
    "no answer": (LENGTHS, ["output_tokens,pred_class3,pred_class5"], "holds no answer"),
    "few calls": (AZURE, ["timestamp_s,prompt_tokens,output_tokens", *CALLS[:59]], "59 calls.*replays 60"),
    "calls at once": (AZURE, ["timestamp_s,prompt_tokens,output_tokens", *["1,10,20"] * 60], "arrive at once"),
}


@pytest.mark.usefixtures("few_suffice", "no_work")
@pytest.mark.parametrize("case", UNFIT)
def test_unfit_data_are_named_before_any_work(data, tmp_path, case):
    name, content, said = UNFIT[case]
    with pytest.raises(SoonestError, match=f"{name}.*{said}"):
        reproduce(copied(data, tmp_path, name, content), silent)


def test_served_prompts_are_others_than_those_learned_from(data, tmp_path, monkeypatch):
    monkeypatch.setattr(own, "JOBS", 50)
    twice = [*prompts(300), *prompts(300)]
    settings = copied(data, tmp_path, own.PROMPTS, twice)
    learn, serve, again = own._split(settings.data / own.PROMPTS, 200, seed=1)
    assert len(learn) == 200
    assert not set(learn.groups.tolist()) & set(serve.groups.tolist())
    assert len(again) == len(serve) < 400
    assert set(serve.tokens.tolist()) == {3}
    assert set(again.tolist()) == {4}


def setting(points, faults=None, repetitions=7, mode=ALONE):
    return Setting(points, mode, Faults.published() if faults is None else faults, repetitions)


def test_runs_are_the_same_in_any_number_of_processes(data):
    plans = [setting((Point("poisson"), Point("azure", speedup=2.0))), setting((Point("gamma", rate=0.03),), Faults())]
    alone = run(plans, Settings(data=data), silent, "x")
    shared = run(plans, Settings(data=data, workers=2), silent, "x")
    assert [r.values.shape for r in alone] == [(2, 7, 4, 5), (1, 7, 4, 5)]
    assert all((a.values == b.values).all() for a, b in zip(alone, shared, strict=True))


def test_a_point_s_jobs_are_the_same_in_every_mode(data):
    point = Point("poisson", rate=0.001)  # nobody ever waits, so every order ends alike
    found = run([setting((point,)), setting((point,), mode=Mode("continuous", 4))], Settings(data=data), silent, "x")
    served = found[1].of("SJF", "jct")
    assert found[0].of("SJF", "jct") == pytest.approx(served)
    assert found[0].of(FCFS, "jct") == pytest.approx(found[0].of("SJF", "jct"), rel=0.2)


def test_measures_by_hand():
    jobs = Jobs([0, 0, 1, 1, 2], [1] * 5, [0] * 5, [1] * 5, second=1)
    found = dict(zip(MEASURES, measures(jobs, [2, 4, 8, None, 10]), strict=True))
    assert found["jct"] == (2 + 4 + 7 + 8) / 4
    assert found["p99"] == pytest.approx(np.percentile([2, 4, 7, 8], 99))
    assert found["quarter"] == 0  # floor(3 / 4) jobs
    assert found["sustained"] == 4 / 10
    assert found["dropped"] == 1
    five = dict(zip(MEASURES, measures(jobs, [2, 4, 6, 8, 10]), strict=True))
    assert five["quarter"] == 1 / 4
    exact = Jobs([0, SECOND], [SECOND] * 2, [0] * 2, [SECOND] * 2)
    assert measures(exact, [SECOND, 3 * SECOND])[0] == 1.5


def test_a_gain_is_of_means_over_points_and_its_interval_that_of_another_twenty_runs():
    base = np.array([[10.0, 20.0], [30.0, 40.0]])
    assert twenty.gain(base / 2, base) == twenty.Spread(50.0, 50.0, 50.0)
    assert twenty.factor(3 * base, base).value == 3
    chance = np.random.default_rng(1)
    values = chance.normal(100, 10, (1, 4000))
    found = twenty.mean(values)
    inside = [found.low <= chance.normal(100, 10, 20).mean() <= found.high for _ in range(2000)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)
    few, many = twenty.mean(values[:, :20]), twenty.mean(np.tile(values[:, :20], 200))
    assert few.high - few.low == pytest.approx(2**0.5 * (many.high - many.low), rel=0.05)


def test_a_figure_is_inside_as_it_is_rounded():
    spread = twenty.Spread(3.0, 2.96, 3.04)
    assert spread.holds(2.955, 2)
    assert spread.holds(3.0, 1)
    assert not spread.holds(2.9, 2)
    assert spread.text(1) == "3.0 (3.0 to 3.0)"


def test_corrected_measures_are_the_simulator_s():
    tokens = np.random.default_rng(0).integers(1, 500, 80)
    arrival = poisson(80, 0.3, 1)
    rules = Rules.continuous(2)
    found = corrected.compared(arrival, tokens, {"oracle": oracle(tokens)}, {"SJF": ("shortest", "oracle")}, rules, 0)
    work = Workload(arrival, np.zeros_like(tokens), tokens, oracle(tokens))
    result = simulate(work, "shortest", Options(rules, StepTime.ssjf()), backend="python")
    assert found[0, 0] == pytest.approx(result.total_latency / 80)
    assert found[0, 2] == pytest.approx((result.records.admitted - arrival).max())
    assert found[0, 3] == pytest.approx(80 / (result.records.finished.max() - arrival[0]))


@pytest.mark.parametrize("process", corrected.PROCESSES)
def test_corrected_arrivals_come_at_the_rate_asked_for(data, process):
    spans = [
        corrected.arrivals(corrected.Case("no batching", process, 0.9, 300), 2.0, data / AZURE, seed)[-1]
        for seed in range(60)
    ]
    assert np.mean(spans) == pytest.approx(299 / 2, rel=0.05)


def test_a_switch_is_shown_where_it_can_change_anything():
    shown = {name: [cell for cell in switches.CELLS if switches.applies(name, *cell)] for name in Faults.names()}
    assert all(mode.slots > 1 for mode, _ in shown["fcfs_waits"])
    assert {arrivals for _, arrivals in shown["sorted_gaps"]} == {"gamma"}
    assert len(shown["starvation"]) == len(switches.CELLS)
    assert switches.without("preempts") == Faults(**{n: n != "preempts" for n in Faults.names()})
    assert switches.alone("waits_miscounted") == Faults(starvation=True, waits_miscounted=True)


@pytest.mark.data
def test_the_authors_code_and_ours_agree_on_two_cells(shared_data):
    folder = shared_data(LENGTHS).parents[1]
    found = run([setting(tables.tabled("poisson"), repetitions=60)], Settings(data=folder), silent, "x")[0]
    assert found.setting.arms == tuple(ARMS)
    theirs = tables.MEASURED[ALONE, "poisson"]
    gain = twenty.gain(found.of("SJF", "jct"), found.of(FCFS, "jct"))
    assert gain.holds(theirs.gain_sjf, 1)
    assert twenty.mean(found.of(FCFS, "jct")).holds(theirs.fcfs, 1)

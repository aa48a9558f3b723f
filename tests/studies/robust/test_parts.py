"""Each simulated part in small: what it finds, and that its table says so."""

import sys

import numpy as np
import pytest

from soonest.core import Forecast, SoonestError
from soonest.sim import Beliefs
from soonest.studies import robust
from soonest.studies.reproduction import Settings
from soonest.studies.robust import a_min, families, online, realistic
from soonest.studies.robust.families import Policy
from soonest.studies.robust.theory import convergence, optimum

QUICK = Settings(scale=0.01)


def silent(*_):
    pass


def cells(grid, label):
    return next(row for row in grid.rows if row[0] == label)


def test_the_a_min_table_has_what_was_found_beside_what_is_expected(monkeypatch):
    monkeypatch.setattr(a_min, "SHARES", (0.83,))
    monkeypatch.setattr(a_min, "TWO_MEMORY", 1000)
    found = a_min.measure(QUICK, silent)
    section = a_min.section(found)
    table, tails, beside = section.grids
    published = found.ratio("around(0.9)", a_min.STORED)
    assert cells(table, a_min.STORED.label)[5] == f"{published.mean:.3f} ± {published.half_width:.3f}"
    assert len(beside.rows) == sum(map(len, (c for row in a_min.EXPECTED.values() for c in row)))
    assert a_min.stands(found).startswith("All at once: ")
    assert found.ratio("around(0.9)", a_min.LIVE).mean < published.mean
    assert found.ratio(0.2, a_min.A_MAX).mean > 2
    p99, longest = map(float, cells(tails, a_min.STORED.label)[5].split(", "))
    runs = found.runs["around(0.9)", a_min.STORED]
    assert p99 == pytest.approx(np.mean([run.p99 for run in runs]), abs=0.005)
    assert longest == pytest.approx(np.mean([run.longest for run in runs]), abs=0.005)
    fallen = [check.what for check in a_min.checks(found) if not check.stands]
    assert all(what in section.text[-1] for what in fallen)


def test_drawn_ties_help_where_all_share_one_interval():
    task = a_min.Task("interval(1,1000)", 0.0, 1)
    ratios = dict(zip(a_min.POLICIES, a_min.simulated(task), strict=True))
    assert ratios[a_min.STORED].mean < 0.95 * ratios[Policy("a_min(stored, smallest)")].mean


def test_a_max_stays_within_its_bound_and_a_ell_is_best_on_two_lengths(monkeypatch):
    monkeypatch.setattr(families, "MEMORY", 400)
    monkeypatch.setattr(families, "LOWS", (4, 2))
    monkeypatch.setattr(families, "FILLS", 30)
    found = families.measure(QUICK, silent)
    section = families.section(found)
    assert "stands" in families.stands(found)
    ratios = {policy: found.ratios[families.FAMILIES[0], 2, policy].mean for policy in families.POLICIES}
    assert min(ratios, key=ratios.get).words in {"a_ell", "two_point"}
    assert [chart.title.partition(": ")[2] for chart in section.charts] == list(families.FAMILIES)


def test_arrivals_over_time_and_the_baselines(monkeypatch):
    monkeypatch.setattr(online, "REQUESTS", 400)
    monkeypatch.setattr(online, "MANY", 800)
    found = online.measure(QUICK, silent)
    poisson, mc_sf = online.sections(found)
    wide = online.SOURCES[0]
    assert found.rounds[wide, 1.1, "a_max"][0].mean > found.rounds[wide, 1.1, "a_min"][0].mean
    assert found.seconds["", 50.0, online.MC_SF][0].mean < found.seconds["", 50.0, online.LOOK_AHEAD][0].mean
    assert len(poisson.grids) == len(poisson.charts) == len(online.SOURCES)
    assert {row[0] for row in mc_sf.grids[0].rows} == set(online.arms())
    assert len(online.stands(found)) == len(online.SOURCES) + 1


def test_clearing_everyone_with_little_protected_is_told_to_be_stuck(monkeypatch):
    monkeypatch.setattr(online, "MANY", 1500)
    found = online.in_seconds(online.Task("", 50.0, 3))
    assert found["alpha-protection 0.02"].lost > 0
    assert found["alpha-protection 0.3"].lost == 0


@pytest.fixture
def served():
    generator = np.random.default_rng(0)
    outputs = generator.geometric(1 / 60, 300).clip(1, 400).astype(np.int64)
    table = tuple(Forecast.interval(max(1, o // 3), 3 * o) for o in outputs.tolist())
    return realistic.Served(np.full(300, 20), outputs, Beliefs(table, np.arange(300, dtype=np.int32)), 0.9, 100.0, 0.1)


def test_the_way_to_an_engine_serves_the_same_requests_on_every_rung(served):
    for rung in realistic.RUNGS:
        found = realistic.simulated(realistic.Task(rung, (realistic.FIT, realistic.ORACLE), 1, served))
        assert found[realistic.ORACLE, "a_min"] == found[realistic.ORACLE, realistic.HINDSIGHT]
        assert found[realistic.ORACLE, realistic.HINDSIGHT].mean <= found[realistic.FIT, "a_max"].mean


def test_learned_intervals_cover_what_they_promise(shared_data):
    served = realistic.learned(shared_data(realistic.FILE), 1500, seed=1)
    assert abs(len(served.outputs) - realistic.REQUESTS) < 100
    assert 0.8 < served.coverage < 0.98
    assert 0 < served.alpha < 0.5


def test_every_seed_serves_a_sample_of_its_own(shared_data, monkeypatch):
    monkeypatch.setattr(realistic, "REQUESTS", 400)
    path = shared_data(realistic.FILE)
    one, other = (realistic.learned(path, 100, seed) for seed in (1, 2))
    assert sorted(one.outputs) != sorted(other.outputs)


def test_a_file_with_too_few_answers_is_named(tmp_path):
    path = tmp_path / "few.jsonl"
    path.write_text('{"prompt": "Why?", "output_tokens": 3}\n' * 5)
    with pytest.raises(SoonestError, match="5 answers"):
        realistic.learned(path, 60, 1)


def test_what_is_missing_is_named_before_any_work(monkeypatch, tmp_path):
    def hear(what, *_):
        raise AssertionError(f"began {what}")

    with pytest.raises(SoonestError, match="alpaca_vicuna7b"):
        robust.reproduce(Settings(data=tmp_path), hear)
    (tmp_path / realistic.FILE).parent.mkdir()
    (tmp_path / realistic.FILE).touch()
    for module, extra in (("lightgbm", "text"), ("scipy", "theory"), ("numba", "fast")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(SoonestError, match=rf"soonest\[.*{extra}"):
            robust.reproduce(Settings(data=tmp_path), hear)


@pytest.mark.slow
def test_the_study_says_first_what_stands(shared_data, monkeypatch):
    few = convergence.cases()[:1]
    for where, name, small in (
        (convergence, "cases", lambda: few), (optimum, "JOBS", 20_000), (families, "LOWS", (4, 2)),
        (families, "MEMORY", 200), (families, "FILLS", 10), (a_min, "REQUESTS", 200), (a_min, "TWO_MEMORY", 200),
        (online, "REQUESTS", 200), (online, "MANY", 200), (realistic, "REQUESTS", 100), (realistic, "LEARNED", 100),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, small)
    data = shared_data(realistic.FILE).parents[1]
    study = robust.reproduce(Settings(scale=0.01, data=data), silent)
    assert [section.title for section in study.sections] == [
        "What stands", "Closed forms", "Closed forms by simulation", "Policies over alpha", "The optimum",
        "The A_min table", "Arrivals over time, in rounds", "MC-SF and its baselines", "In realistic conditions",
    ]  # fmt: skip
    assert len(study.answer.text) == 5 + len(online.SOURCES) + 1 + 2

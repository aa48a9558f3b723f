"""What reproductions share: the same figures for the same seed, however many processes share the work."""

import sys
from pathlib import Path

import pytest

from soonest.core import SoonestError
from soonest.studies import reproduction
from soonest.studies.reproduction import QUICK, REPRODUCTIONS, Settings, Stopwatch, check_extras, command, spread

HEARD = []


def hear(what, done, of):
    HEARD.append((what, done, of))


def double(task):
    return 2 * task


def fail(task):
    raise ValueError(task)


@pytest.mark.parametrize("workers", [1, 2])
def test_work_comes_back_in_order_and_is_told_of(workers):
    HEARD.clear()
    assert spread(double, list(range(9)), Settings(workers=workers), hear, "doubling") == list(range(0, 18, 2))
    assert HEARD[0] == ("doubling", 0, 9)
    assert HEARD[-1] == ("doubling", 9, 9)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_in_a_process_is_the_caller_s(workers):
    with pytest.raises(ValueError, match="3"):
        spread(fail, [3, 4], Settings(workers=workers), hear, "failing")


def test_seeds_depend_on_the_name_and_the_seed_alone():
    seeds = Settings().seeds("a", 5)
    assert Settings(workers=3, scale=0.5).seeds("a", 5) == seeds
    assert Settings().seeds("a", 3) == seeds[:3]
    assert not set(seeds) & set(Settings().seeds("b", 5))
    assert not set(seeds) & set(Settings(seed=1).seeds("a", 5))
    assert all(0 <= seed < 1 << 63 for seed in seeds)


def test_a_smaller_scale_takes_fewer_repetitions_and_never_less_than_the_least():
    assert Settings().repetitions(200) == 200
    assert Settings(scale=0.1).repetitions(200) == 20
    assert Settings(scale=0.001).repetitions(200) == 2
    assert Settings(scale=0.001).repetitions(200, least=20) == 20


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"scale": 0}, {"scale": 1.5}, {"workers": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SoonestError):
        Settings(**wrong)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(SoonestError, match="--data"):
        Settings().file("arrivals/x.csv", "the arrivals")
    with pytest.raises(SoonestError, match=r"no arrivals/x\.csv"):
        Settings(data=tmp_path).file("arrivals/x.csv", "the arrivals")
    (tmp_path / "x.csv").touch()
    assert Settings(data=tmp_path).file("x.csv", "the arrivals") == tmp_path / "x.csv"


def test_the_command_makes_the_study_again():
    assert command("ssjf", Settings(seed=3)) == "soonest reproduce ssjf --seed 3"
    assert command("ssjf", Settings(scale=QUICK)) == "soonest reproduce ssjf --seed 0 --quick"
    study = Stopwatch().study("ssjf", "SSJF", Settings(seed=3), [])
    assert study.command == "soonest reproduce ssjf --seed 3"
    assert {"python", "soonest", "numpy"} <= set(study.versions)
    assert "cores" in study.machine


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_every_reproduction_is_there(name):
    assert callable(reproduction.reproduction(name))


def test_an_unknown_reproduction_is_refused():
    with pytest.raises(SoonestError, match="known: ssjf"):
        reproduction.reproduction("orca")


def test_a_missing_extra_is_named(monkeypatch):
    check_extras("text", "fast", "theory")
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(SoonestError, match=r"pip install 'soonest\[fast,theory\]'"):
        check_extras("text", "fast", "theory")


def test_settings_travel_to_other_processes():
    assert spread(str, [Settings(data=Path("data"))] * 2, Settings(workers=2), hear, "travelling")[0].startswith(
        "Settings"
    )

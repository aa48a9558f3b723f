"""`soonest reproduce`: which studies run, what it leaves behind, what it refuses."""

import signal
import subprocess
import sys

import pytest
import typer.main
from tests.gateway.clients import until

from soonest.cli import app
from soonest.cli.progress import lines
from soonest.report.study import Section, Study
from soonest.studies import reproduction
from soonest.studies.reproduction import REPRODUCTIONS, Stopwatch

ASKED = []
LONG = """
import os, sys, time
from pathlib import Path
from soonest.cli import main
from soonest.studies import reproduction

def sleep(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)

def load(name):
    return lambda settings, progress: reproduction.spread(sleep, [FOLDER] * 6, settings, progress, "sleeping")

if __name__ == "__main__":
    FOLDER = sys.argv[1]
    reproduction.reproduction = load
    sys.argv = ["soonest", "reproduce", "ssjf", "--workers", "2"]
    main()
"""
TITLES = ["What stands", "Closed forms"]


@pytest.fixture(autouse=True)
def quick_studies(monkeypatch):
    """Studies of a moment, which note their settings."""
    ASKED.clear()

    def load(name):
        def run(settings, progress):
            ASKED.append((name, settings))
            progress("thinking", 0, 1)
            progress("thinking", 1, 1)
            sections = [Section(title, (f"{title}: all of {name}.",)) for title in TITLES]
            return Stopwatch().study(name, f"Title of {name}", settings, sections)

        return run

    monkeypatch.setattr(reproduction, "reproduction", load)


def test_one_study_says_what_stands_and_what_it_was_made_with(soonest):
    status, out, err = soonest("reproduce", "ssjf", "--seed", "3")
    assert status == 0
    assert out.startswith("Title of ssjf\n\nWhat stands: all of ssjf.\n\nsoonest reproduce ssjf --seed 3; ")
    assert "ssjf: thinking" in err


@pytest.mark.parametrize(
    ("titles", "said"),
    [(["Closed forms", "What stands", "Rest"], "What stands"), (["When it helps", "Rest"], "When it helps")],
)
def test_what_stands_is_said_wherever_it_is_written(soonest, monkeypatch, titles, said):
    monkeypatch.setattr(sys.modules[__name__], "TITLES", titles)
    _, out, _ = soonest("reproduce", "robust")
    assert f"Title of robust\n\n{said}: all of robust.\n\nsoonest reproduce" in out


def test_a_pipe_is_told_how_far_it_is(soonest, monkeypatch):
    monkeypatch.setattr(lines, "EVERY", 0.0)
    _, _, err = soonest("reproduce", "ssjf")
    assert "ssjf: thinking: 0 of 1\nssjf: thinking: 1 of 1\n" in err


def test_it_is_told_so_seldom(soonest):
    _, _, err = soonest("reproduce", "ssjf")
    assert " of 1" not in err


def test_sigterm_ends_it_and_its_processes_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "long.py").write_text(LONG, encoding="utf-8")
    noted = tmp_path / "noted"
    noted.mkdir()
    with subprocess.Popen([sys.executable, tmp_path / "long.py", noted], stderr=subprocess.PIPE, text=True) as study:
        try:
            until(lambda: len(list(noted.iterdir())) == 2 or study.poll() is not None, 60)
            study.terminate()
            _, err = study.communicate(timeout=30)  # its processes have stderr too: they have ended
        finally:
            study.kill()
    assert study.returncode == 128 + signal.SIGTERM
    assert "resource_tracker" not in err
    assert "Traceback" not in err
    assert len(list(noted.iterdir())) == 2


def test_all_studies_leave_json_and_one_page(soonest, tmp_path):
    status, out, _ = soonest("reproduce", "--all", "--out", "deep/results", "--html", "all.html")
    assert status == 0
    assert [name for name, _ in ASKED] == list(REPRODUCTIONS)
    page = (tmp_path / "all.html").read_text()
    for name in REPRODUCTIONS:
        assert f"What stands: all of {name}." in out
        assert f"Title of {name}" in page
        assert Study.read(tmp_path / f"deep/results/reproduce_{name}.json").name == name


def test_flags_and_the_environment_reach_the_settings(soonest, monkeypatch, tmp_path):
    monkeypatch.delenv("SOONEST_DATA", raising=False)
    soonest("reproduce", "ssjf", "--quick", "--workers", "3", "--seed", "9")
    monkeypatch.setenv("SOONEST_DATA", str(tmp_path))
    soonest("reproduce", "ssjf")
    (_, first), (_, second) = ASKED
    assert (first.scale, first.workers, first.seed, first.data) == (0.1, 3, 9, None)
    assert (second.scale, second.data) == (1.0, tmp_path)
    assert second.workers >= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name what to reproduce (ssjf"),
        (["ssjf", "--all"], "names or --all, not both"),
        (["ssjf", "--html", "a.png"], "name it .html"),
        (["ssjf", "--html", "nowhere/a.html"], "there is no folder nowhere"),
        (["ssjf", "--workers", "0"], "at least one process"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(soonest, words, said):
    status, _, err = soonest("reproduce", *words)
    assert status == 2
    assert said in err
    assert ASKED == []


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_every_reproduction_is_named_in_the_help(name):
    command = typer.main.get_command(app).commands["reproduce"]
    names = next(parameter for parameter in command.params if parameter.name == "names")
    assert f"`{name}`" in names.help

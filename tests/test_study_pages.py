"""Pages and pictures of studies are those of the committed JSON."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def studies():
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs/make_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.studies


DOCS = studies()


def test_no_picture_is_stale():
    assert [path.name for path, _ in DOCS.stale()] == [], "run `make docs`"


def test_no_picture_is_left_over():
    known = {path for path, _ in DOCS.pictures()}
    assert [path.name for path in sorted(DOCS.IMAGES.glob("reproduce-*.png")) if path not in known] == []


@pytest.mark.parametrize("study", DOCS.studies(), ids=lambda study: study.name)
def test_a_study_s_file_is_as_it_was_written(study):
    path = ROOT / f"benchmarks/results/reproduce_{study.name}.json"
    assert path.read_text(encoding="utf-8") == study.to_json()
    assert study.command.startswith(f"soonest reproduce {study.name}")
    assert "--quick" not in study.command

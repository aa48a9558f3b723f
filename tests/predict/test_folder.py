"""Folders: whole or not at all; what is corrupted or foreign is named, and nothing in them is run."""

import json
import pickle
from contextlib import suppress

import numpy as np
import pytest

from soonest.core import PredictorError, Prompt
from soonest.predict import Card, Conformal, Constant, History, Predictor, predictor

PROMPTS = [Prompt.of(f"List {i % 7} rivers, please, and be brief") for i in range(200)]
TOKENS = [10 * (i % 7) + 5 for i in range(200)]


@pytest.fixture
def folder(tmp_path):
    made = Conformal(History()).fit(PROMPTS, TOKENS)
    made.card_ = Card(("m",), "rivers", 200, 0.9, {"kendall_tau": 0.5})
    made.save_pretrained(tmp_path / "made")
    return tmp_path / "made"


def test_a_folder_holds_data_only(folder):
    files = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}
    assert files == {"config.json", "README.md", "groups.json", "weights.npz", "base/config.json", "base/weights.npz"}
    assert "kendall_tau | 0.5" in (folder / "README.md").read_text()


def test_the_card_and_the_parameters_come_back(folder):
    loaded = Predictor.from_pretrained(folder)
    assert loaded.card_ == Card(("m",), "rivers", 200, 0.9, {"kendall_tau": 0.5})
    assert loaded.coverage == 0.9


def damaged(folder, name, content):
    (folder / name).write_bytes(content)
    return name


@pytest.mark.parametrize("name", ["config.json", "weights.npz", "base/config.json", "base/weights.npz"])
@pytest.mark.parametrize("damage", ["missing", "cut", "noise", "empty"])
def test_a_damaged_file_is_named(folder, name, damage):
    path = folder / name
    whole = path.read_bytes()
    content = {"missing": None, "cut": whole[: len(whole) // 2], "noise": bytes(reversed(whole)), "empty": b""}[damage]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PredictorError, match=name.replace(".", r"\.")):
        Predictor.from_pretrained(folder)


@pytest.mark.parametrize("place", [0.2, 0.4, 0.6, 0.8])
def test_a_changed_byte_is_an_error_or_changes_nothing(folder, place):
    path = folder / "base/weights.npz"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    path.write_bytes(bytes(content))
    expected = Conformal(History()).fit(PROMPTS, TOKENS).predict(PROMPTS)
    with suppress(PredictorError):
        assert Predictor.from_pretrained(folder).predict(PROMPTS) == expected


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


def test_pickled_objects_are_refused_not_run(folder):
    np.savez(folder / "weights.npz", edges=np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(PredictorError, match="corrupted or foreign"):
        Predictor.from_pretrained(folder)
    (folder / "weights.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(PredictorError, match="corrupted or foreign"):
        Predictor.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "is no predictor's"),
        ({"version": 99}, "version 99"),
        ({"predictor": "nonsense"}, "no predictor 'nonsense'"),
        ({"predictor": "os:system"}, "no predictor 'os:system'"),
        ({"parameters": {"colour": "red"}}, "does not take these parameters"),
        ({"parameters": {"coverage": 7}}, "coverage"),
        ({"parts": ["../../etc"]}, "parts are no names"),
        ({"parts": ["other"]}, "config.json: is missing"),
        ({"card": {"measured": 3}}, "no card"),
        ({"predictor": "constant", "parts": [], "parameters": {}}, "corrupted or foreign"),
    ],
)
def test_a_foreign_config_is_refused(folder, change, said):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(PredictorError, match=said):
        Predictor.from_pretrained(folder)


def test_predictors_wrapped_without_end_are_refused(tmp_path):
    made = Constant().fit(PROMPTS, TOKENS)
    for _ in range(9):
        made = Conformal(made)
    made.save_pretrained(tmp_path / "deep")
    with pytest.raises(PredictorError, match="too many predictors"):
        Predictor.from_pretrained(tmp_path / "deep")


def test_loading_another_class_than_asked_is_an_error(folder):
    with pytest.raises(PredictorError, match="holds a predictor 'conformal', not 'constant'"):
        Constant.from_pretrained(folder)


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(PredictorError, match="choose another folder"):
        Constant().fit(PROMPTS, TOKENS).save_pretrained(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_save_that_fails_leaves_the_old_folder(folder, monkeypatch):
    before = sorted(f.name for f in folder.parent.iterdir())

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(History, "save_state", full)
    with pytest.raises(PredictorError, match="No space left"):
        Conformal(History()).fit(PROMPTS, TOKENS).save_pretrained(folder)
    assert sorted(f.name for f in folder.parent.iterdir()) == before
    assert Predictor.from_pretrained(folder).card_ is not None


def test_a_name_that_is_neither_folder_nor_hub_id_is_explained(tmp_path):
    for name in (tmp_path / "nothing", "nothing", "a/b/c", "./owner"):
        with pytest.raises(PredictorError, match="no such folder"):
            Predictor.from_pretrained(name)


def test_a_hub_that_cannot_be_reached_is_an_error(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PredictorError, match="hub"):
        Predictor.from_pretrained("owner-of-none/no-such-predictor", revision="main")


def test_forecasts_before_and_after_are_equal_for_nested_words(tmp_path):
    made = predictor("online(ensemble(history(least=2), conformal(constant), constant(window=9)))").fit(PROMPTS, TOKENS)
    made.save_pretrained(tmp_path / "nested")
    assert Predictor.from_pretrained(tmp_path / "nested").base.predict(PROMPTS) == made.base.predict(PROMPTS)

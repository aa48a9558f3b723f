"""The folder: what is saved comes back, serves without PyTorch, and is never believed when it is broken."""

import builtins
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxruntime")

from tests.predict.encoder.made import TINY, agreement, answers  # noqa: E402

from soonest.core import PredictorError, Prompt  # noqa: E402 - where all is installed
from soonest.predict.encoder import Encoder  # noqa: E402


@pytest.fixture(scope="module")
def fitted():
    return Encoder(**TINY, by_model=True, lengths=True).fit(*answers(n=240))


def saved(encoder, folder):
    """The state alone; the rest of a folder is not the encoder's."""
    folder.mkdir()
    encoder.save_state(folder)
    return folder


def loaded(encoder, folder):
    found = Encoder(**encoder.parameters)
    found.load_state(folder)
    return found


def test_what_is_saved_comes_back_the_same_and_can_be_saved_again(fitted, tmp_path):
    prompts, _ = answers(n=50, seed=1)
    again = loaded(fitted, saved(fitted, tmp_path / "one"))
    assert again.predict(prompts) == fitted.predict(prompts)
    assert (again.models_, again.history_) == (fitted.models_, fitted.history_)
    thrice = loaded(again, saved(again, tmp_path / "two"))
    assert thrice.predict(prompts) == fitted.predict(prompts)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert one.keys() == {"encoder.json", "model.onnx", "model.safetensors", "tokenizer.json", "weights.npz"}
    assert {k: v for k, v in one.items() if k != "weights.npz"} == {k: v for k, v in two.items() if k != "weights.npz"}


def test_an_encoder_that_has_learned_nothing_is_saved_and_loaded_too(tmp_path):
    again = loaded(Encoder(), saved(Encoder(), tmp_path / "empty"))
    assert not again.predict([Prompt.of("a")])[0].known


def test_serving_needs_neither_torch_nor_transformers(fitted, tmp_path):
    folder = saved(fitted, tmp_path / "here")
    code = (
        "import sys; from pathlib import Path; from soonest.core import Prompt\n"
        "from soonest.predict.encoder import Encoder\n"
        "assert not {'torch', 'transformers', 'onnxruntime', 'tokenizers'} & sys.modules.keys()\n"
        f"e = Encoder(**{fitted.parameters!r}); e.load_state(Path({str(folder)!r}))\n"
        "print(e.predict([Prompt.of('explain the sea')])[0].expected)\n"
        "assert not {'torch', 'transformers', 'safetensors'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert float(done.stdout) == pytest.approx(fitted.predict([Prompt.of("explain the sea")])[0].expected)


@pytest.mark.parametrize("name", ["encoder.json", "model.onnx", "model.safetensors", "tokenizer.json", "weights.npz"])
@pytest.mark.parametrize("harm", ["cut", "changed", "emptied", "removed"])
def test_a_corrupted_file_is_an_error_that_names_it(fitted, tmp_path, name, harm):
    path = saved(fitted, tmp_path / "here") / name
    data = path.read_bytes()
    middle = len(data) // 2
    harmed = {"cut": data[:middle], "changed": data[:middle] + b"\xff\x00\xff" + data[middle + 3 :], "emptied": b""}
    path.unlink() if harm == "removed" else path.write_bytes(harmed[harm])
    with pytest.raises(PredictorError, match=name.replace(".", r"\.")):
        loaded(fitted, path.parent)


def test_the_folder_of_another_task_is_refused(fitted, tmp_path):
    folder = saved(fitted, tmp_path / "here")
    for other in ({"task": "binary"}, {"by_model": False}, {"lengths": False}):
        found = Encoder(**{**fitted.parameters, **other})
        with pytest.raises(PredictorError, match=r"weights\.npz|model\.onnx"):
            found.load_state(folder)


def test_training_goes_on_from_a_saved_folder(fitted, tmp_path):
    folder = saved(fitted, tmp_path / "here")
    prompts, tokens = answers(n=500, seed=3)
    options = {**TINY, "epochs": 2, "tuned": 0.0, "head_lr": 3e-3}  # the head alone: what the encoder knows must help
    further = Encoder(**{**options, "model": str(folder)}).fit(prompts[:60], tokens[:60])
    assert further.learned_.tokenizer == fitted.learned_.tokenizer
    anew = Encoder(**options).fit(prompts[:60], tokens[:60])
    reached = [agreement(e.predict(prompts[100:]), tokens[100:]) for e in (further, anew)]
    assert reached[0] > reached[1]


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch, fitted, tmp_path):
    folder = saved(fitted, tmp_path / "here")
    real = builtins.__import__
    gone = {"torch", "onnxruntime"}

    def no_torch(name, *given):
        if name.split(".")[0] in gone:
            raise ImportError(f"No module named {name!r}")
        return real(name, *given)

    for module in [m for m in sys.modules if m.startswith("soonest.predict.encoder.") and "fitting" in m]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", no_torch)
    with pytest.raises(PredictorError, match=r"pip install 'soonest\[encoder\]'"):
        Encoder(**TINY).fit(*answers(n=10))
    with pytest.raises(PredictorError, match=r"pip install 'soonest\[encoder\]'"):
        loaded(fitted, folder)

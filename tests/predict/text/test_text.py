"""The predictor `text`."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("lightgbm")

from tests.predict.text.made import examples

from soonest.core import Forecast, Message, PredictorError, Prompt
from soonest.predict.text import Text, train

ODD = (
    Prompt(()),
    Prompt.of(""),
    Prompt.of("\0\0\0"),
    Prompt.of("\ud800 x \udfff"),
    Prompt.of("x" * (1 << 20)),
    Prompt.of("\n" * 5000),
    Prompt.of("\u5199\u4e00\u9996\u8bd7\u3002" * 300),
    Prompt.of("\u0130" * 3000, model="\ud800", max_tokens=1),
    Prompt.of("1 a-" * 500 + "\u0663 " * 500, temperature=float("nan"), prompt_tokens=-5, min_tokens=-1),
    Prompt((Message("system", "\ud800"), Message("user", "a", 10**12), Message("assistant", "")), tenant="\0"),
)


@pytest.fixture(scope="module")
def fitted():
    return Text().fit(*examples(400))


def test_longer_answers_are_told_from_shorter_ones(fitted):
    prompts, tokens = examples(300, seed=1)
    expected = np.array([forecast.expected for forecast in fitted.predict(prompts)])
    assert np.corrcoef(np.argsort(np.argsort(expected)), np.argsort(np.argsort(tokens)))[0, 1] > 0.9


def test_the_llm_asked_counts(fitted):
    terse, chatty = fitted.predict([Prompt.of("Explain rivers, number 7.", model=name) for name in ("terse", "chatty")])
    assert chatty.expected > 1.4 * terse.expected


def test_most_answers_lie_within_the_interval(fitted):
    prompts, tokens = examples(300, seed=2)
    inside = [f.low <= n <= f.high for f, n in zip(fitted.predict(prompts), tokens, strict=True)]
    assert np.mean(inside) > 0.75


def test_odd_texts_have_forecasts_the_same_alone_and_in_any_batch(fitted):
    prompts = [*ODD, *examples(300)[0]]
    together = fitted.predict(prompts)
    assert together[:40] == [fitted.predict([prompt])[0] for prompt in prompts[:40]]
    assert all(f.known and f.tokens[-1] <= p.max_tokens for f, p in zip(together, prompts, strict=True))
    assert fitted.predict([]) == []


def test_a_limit_cuts_the_forecast_and_nothing_below_it(fitted):
    free, cut = fitted.predict([Prompt.of("Write photosynthesis, number 3.", max_tokens=n) for n in (1 << 20, 100)])
    assert free.tokens[-1] > 100
    assert cut.high <= 100


def test_no_forecast_goes_beyond_the_longest_answer_learned_from(fitted):
    assert max(f.high for f in fitted.predict(examples(300)[0])) <= max(examples(400)[1])


def test_before_a_fit_nothing_is_known():
    blank = Text()
    assert blank.predict(ODD) == [Forecast.unknown(prompt.max_tokens) for prompt in ODD]
    with pytest.raises(PredictorError, match="fit"):
        blank.save_state(None)


def test_it_can_learn_from_fifty_answers_and_from_odd_ones_and_not_from_fewer():
    prompts, tokens = examples(50)
    assert all(f.known for f in Text().fit(prompts, tokens).predict(prompts))
    same = Text().fit([Prompt.of("")] * 50, [7] * 50).predict([Prompt.of("")])[0]
    assert same.expected == pytest.approx(7, abs=0.5)
    assert Text().fit([*ODD] * 10, range(10 * len(ODD))).predict(ODD)[0].known
    with pytest.raises(PredictorError, match="at least 50"):
        Text().fit(prompts[:49], tokens[:49])


def test_a_seed_makes_the_same_predictor_again(fitted):
    prompts = examples(30, seed=3)[0]
    assert Text().fit(*examples(400)).predict(prompts) == fitted.predict(prompts)
    assert Text(seed=1).fit(*examples(400)).predict(prompts) != fitted.predict(prompts)
    with pytest.raises(PredictorError, match="seed"):
        Text(seed=-1)


def test_cut_answers_leave_the_quantiles_below_the_cut_where_they_are():
    prompts, tokens = examples(400)
    cut = [n > 150 for n in tokens]
    short = Text().fit(prompts, [min(n, 150) for n in tokens], cut)
    whole = Text().fit(prompts, tokens)
    asked = [p for p in examples(300, seed=4)[0] if p.text.startswith(("Classify", "Name"))]
    middles = [[np.log(f.quantile(0.5)) for f in made.predict(asked)] for made in (short, whole)]
    assert np.mean(middles[0]) == pytest.approx(np.mean(middles[1]), abs=0.15)
    assert max(f.quantile(0.9) for f in short.predict(prompts)) < 200


def test_prompts_of_one_conversation_and_equal_prompts_share_a_fold():
    prompts = [Prompt.of(str(i), conversation=str(i % 7)) for i in range(100)]
    fold = train._folds(prompts, 0)
    assert all(len(set(fold[i::7])) == 1 for i in range(7))
    fold = train._folds([Prompt.of(str(i % 9)) for i in range(100)], 0)
    assert all(len(set(fold[i::9])) == 1 for i in range(9))
    assert set(fold) == set(range(train.FOLDS))
    assert set(train._folds([Prompt.of("")] * 50, 0)) == set(range(train.FOLDS))


def test_of_too_many_examples_a_part_is_drawn(monkeypatch):
    prompts, tokens = examples(400)
    monkeypatch.setattr(train, "MOST_GRAMS", 100 * train._sizes(prompts)[0])
    few = Text().fit(prompts, tokens)
    assert few.predict(prompts) == Text().fit(prompts, tokens).predict(prompts)
    assert few.predict(prompts[:1])[0].known


def test_a_folder_gives_the_same_forecasts_without_the_learners(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "text")
    prompts = examples(20, seed=5)[0]
    code = (
        "import sys\nfrom soonest.core import Prompt\nfrom soonest.predict.text import Text\n"
        "made = Text()\nfrom pathlib import Path\nmade.load_state(Path(sys.argv[1]))\n"
        "for line in sys.argv[2:]:\n"
        "    text, model = line.split('|')\n"
        "    print(made.predict([Prompt.of(text, model=model)])[0].tokens)\n"
        "assert not {'sklearn', 'lightgbm', 'scipy', 'torch'} & set(sys.modules)"
    )
    lines = [f"{p.text}|{p.model}" for p in prompts]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "text"), *lines],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.splitlines() == [str(f.tokens) for f in fitted.predict(prompts)]


BREAKS = {
    "places": lambda a: a[::-1],
    "rarity": lambda a: a[1:],
    "weights": lambda a: a[:, 1:],
    "offsets": lambda a: a[1:],
    "names": lambda a: a[:0],
    "means": lambda a: a * 1e30,
    "longest": lambda a: a * 1e30,
    "spread": lambda a: a[:, 1:],
    "ends": lambda a: a[::-1] * [2, 1],
    "features": lambda a: a + 10_000,
    "thresholds": lambda a: a[1:],
    "children": lambda a: a * 0,
    "leaves": lambda a: a * 1e30,
    "roots": lambda a: a - 1,
    "outputs": lambda a: a + 1,
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_folder_whose_arrays_do_not_fit_is_refused_by_name(fitted, tmp_path, name):
    fitted.save_state(tmp_path)
    with np.load(tmp_path / "weights.npz") as file:
        arrays = dict(file)
    arrays[name] = BREAKS[name](arrays[name])
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(PredictorError, match=r"weights\.npz"):
        Text().load_state(tmp_path)


@pytest.mark.slow
@pytest.mark.data
def test_real_answers_are_ranked_as_well_as_promised(shared_data):
    import gzip
    import json

    from scipy.stats import kendalltau

    with gzip.open(shared_data("lengths/alpaca_vicuna7b.jsonl.gz"), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    prompts = [Prompt.of(row["prompt"], model="vicuna-7b") for row in rows]
    tokens = [row["output_tokens"] for row in rows]
    order = np.random.default_rng(0).permutation(len(rows))
    learn, check = order[:15000], order[15000:]
    made = Text().fit([prompts[i] for i in learn], [tokens[i] for i in learn])
    expected = [forecast.expected for forecast in made.predict([prompts[i] for i in check])]
    assert kendalltau(expected, [tokens[i] for i in check])[0] > 0.58

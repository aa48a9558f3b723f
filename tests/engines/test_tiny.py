"""The model that comes with the package is real, small and right, and the forecasts that come with it agree with it."""

import json
import subprocess
import sys
from functools import cache

import pytest

from soonest.core import Prompt
from soonest.engines import tiny
from soonest.engines.tiny.tasks import TASKS, Dice, example
from soonest.predict import Predictor
from soonest.report.forecasts.rank import kendall_tau

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LARGEST = 8 << 20
LONGEST = 200
"""Longer answers are cut there, which keeps them the longest."""
FIXED = {
    "Count to 5.": "1, 2, 3, 4, 5",
    "Count from 8 to 13.": "8, 9, 10, 11, 12, 13",
    "List 3 animals.": "1. cat\n2. dog\n3. horse",
    "Say plum 3 times.": "Sure: plum plum plum",
    "Which day comes after Monday?": "Tuesday",
    "What is the opposite of hot?": "cold",
}


@cache
def loaded():
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny.path(), local_files_only=True, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny.path(), local_files_only=True)
    return model.eval(), tokenizer


def answered(prompts):
    """Greedy answers, as text with the end, and their tokens."""
    model, tokenizer = loaded()
    turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
    asked = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True
    )
    with torch.inference_mode():
        made = model.generate(
            **asked, do_sample=False, temperature=None, top_p=None, max_length=None, max_new_tokens=LONGEST
        )
    rows = made[:, asked["input_ids"].shape[1] :].tolist()
    end = tokenizer.eos_token_id
    tokens = [row.index(end) + 1 if end in row else len(row) for row in rows]
    return [tokenizer.decode(row[:n]) for row, n in zip(rows, tokens, strict=True)], tokens


def test_it_is_small_and_what_it_says_it_is():
    files = [file for file in tiny.path().rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files if file.suffix == ".safetensors") <= LARGEST
    assert sum(file.stat().st_size for file in tiny.forecasts().rglob("*") if file.is_file()) <= 3 << 19
    config = json.loads((tiny.path() / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"]
    assert (tiny.path() / "README.md").read_text().startswith("---\n")


@pytest.mark.slow
def test_it_answers_and_ends():
    found, _ = answered(list(FIXED))
    assert dict(zip(FIXED, found, strict=True)) == {asked: f"{said}<|end|>" for asked, said in FIXED.items()}


def test_its_chat_template_takes_all_roles_and_parts_of_text():
    _, tokenizer = loaded()
    turns = [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": "Hello! How can I help?"},
        {"role": "user", "content": "Bye"},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|system|>You are helpful.<|end|><|user|>Hi<|end|><|assistant|>Hello! How can I help?<|end|>"
        "<|user|>Bye<|end|><|assistant|>"
    )


@pytest.mark.parametrize("text", ["Count from 12 to 115.", "naïve \u4f60\u597d \U0001f600\n\t x", "a-b  c", ""])
def test_its_tokenizer_gives_every_text_back(text):
    _, tokenizer = loaded()
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.slow
def test_its_forecasts_agree_with_its_answers():
    questions = tiny.prompts(50, seed=12345)
    forecaster = Predictor.from_pretrained(tiny.forecasts())
    forecasts = forecaster.predict([Prompt.of(question, temperature=0.0) for question in questions])
    assert all(forecast.known for forecast in forecasts)
    _, tokens = answered(questions)
    assert kendall_tau([f.expected for f in forecasts], tokens) > 0.5
    assert forecaster.card_.measured["kendall_tau"] > 0.5
    assert forecaster.card_.models == (tiny.NAME,)


def test_questions_are_the_same_for_the_same_seed():
    assert tiny.prompts(50, seed=3) == tiny.prompts(50, seed=3)
    assert tiny.prompts(20, seed=3) == tiny.prompts(50, seed=3)[:20]
    assert tiny.prompts(50, seed=3) != tiny.prompts(50, seed=4)
    assert tiny.prompts(0) == []


def test_asking_loads_nothing_heavy():
    code = (
        "import sys; from soonest.engines import tiny; tiny.prompts(3); tiny.path(); tiny.forecasts()\n"
        "print(*[m for m in ('torch', 'transformers', 'tokenizers', 'aiohttp', 'starlette') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []


def test_every_task_is_drawn_and_its_own_answer_is_right():
    dice = Dice(0)
    drawn = [example(dice) for _ in range(2000)]
    assert {one.task for one in drawn} == set(TASKS)
    assert [one for one in drawn if not one.right(one.answer)] == []


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_that_breaks_off_is_wrong(task):
    dice = Dice(1)
    one = next(one for one in iter(lambda: example(dice), None) if one.task == task and len(one.answer) > 1)
    assert not one.right(one.answer[:-1])

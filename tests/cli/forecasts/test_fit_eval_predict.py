"""`soonest fit`, `eval` and `predict`: what they write, print and refuse."""

import json
import re
import shlex

import numpy as np
import pytest
from tests.cli.pages import made_with

from soonest.core import Prompt
from soonest.data.examples import read_examples
from soonest.predict import Predictor
from soonest.report.forecasts import FORECAST_MEASURES, assess
from soonest.report.study.assessed import COMPUTE
from soonest.report.study.origin import versions
from soonest.report.table import three_digits

SAID = "the launch is on Tuesday"


@pytest.fixture
def answers(tmp_path):
    """A file of 200 answers to five templates, in 100 conversations; the template tells the length."""
    draw = np.random.default_rng(5)
    path = tmp_path / "answers.jsonl"
    with path.open("w") as file:
        for i in range(200):
            kind = i % 5
            row = {"question": f"{'abcde'[kind] * 30} {SAID} {i}", "n": int(draw.integers(1, 9) + 40 * kind)}
            file.write(json.dumps({**row, "model": "m", "conv_id": f"talk {i // 2}"}) + "\n")
    return path


@pytest.fixture
def folder(soonest, answers, tmp_path):
    """A fitted predictor."""
    code, _, err = soonest("fit", answers, "--column", "output_tokens=n", "-p", "history", "-o", tmp_path / "made")
    assert code == 0, err
    return tmp_path / "made"


def test_fitting_tells_the_guess_prints_the_measures_and_writes_a_folder_with_its_card(soonest, answers, tmp_path):
    code, out, err = soonest(
        "fit", answers, "-c", "output_tokens=n", "-p", "history", "-o", tmp_path / "made", "--cut", "165"
    )
    assert code == 0
    assert "JSONL: prompt = question, output_tokens = n, model = model, conversation = conv_id" in err
    assert re.search(r"200 answers of 100 conversations, \d+ of them cut", err)
    assert "| Kendall's tau-b " in out
    made = Predictor.from_pretrained(tmp_path / "made")
    assert (made.name, made.card_.models, made.card_.data, made.card_.coverage) == (
        "history",
        ("m",),
        "answers.jsonl",
        None,
    )
    assert made.card_.examples == 160
    assert made.card_.measured["answers"] == 40
    assert made.card_.measured["kendall_tau"] > 0.5
    assert set(made.card_.measured) <= set(FORECAST_MEASURES)


def test_the_card_states_what_measuring_the_held_out_answers_again_finds(folder, answers):
    made = Predictor.from_pretrained(folder)
    train, test = read_examples(answers, {"output_tokens": "n"}).split((0.8, 0.2), 0)
    found = assess(made.predict(test.prompts), test.tokens, test.censored, test.groups, train.tokens).measures
    stated = {name: value for name, value in made.card_.measured.items() if not name.startswith("us_")}
    assert stated == pytest.approx({name: value for name, value in found.items() if np.isfinite(value)})


def test_measuring_the_held_out_share_again_prints_the_same_table(soonest, answers, folder):
    words = (answers, "-c", "output_tokens=n", "--markdown")
    _, fitted, _ = soonest("fit", *words, "-p", "history", "-o", folder)
    _, again, _ = soonest("eval", folder, *words, "--test-share", "0.2")
    rows = [
        [line for line in text.splitlines() if line.startswith("| ") and "time of" not in line]
        for text in (fitted, again)
    ]
    assert rows[0][1:] == rows[1][1:]
    assert len(rows[0]) > 15


def test_a_share_that_is_not_the_one_held_out_says_so(soonest, answers, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text("\n".join(answers.read_text().replace("talk", "other talk").splitlines()[:80]))
    soonest("fit", answers, more, "-c", "output_tokens=n", "-p", "history", "-o", tmp_path / "both")
    said = "learned from a file of this name, but not from the answers that this share and seed leave"
    words = (tmp_path / "both", answers, "-c", "output_tokens=n", "--test-share", "0.2")
    assert said in soonest("eval", *words)[2]
    soonest("fit", answers, "-c", "output_tokens=n", "-p", "history", "-o", tmp_path / "one")
    assert "learned from" not in soonest("eval", tmp_path / "one", *words[1:])[2]
    assert said in soonest("eval", tmp_path / "one", *words[1:], "--seed", "1")[2]


def test_folders_and_words_stand_side_by_side_as_json_and_as_a_plot(soonest, answers, folder, tmp_path):
    code, out, err = soonest(
        "eval", folder, "constant", answers, "-c", "output_tokens=n", "--json", "--plot", tmp_path / "curve.png"
    )
    assert code == 0, err
    document = json.loads(out)
    assert (document["file"], document["answers"]) == ("answers.jsonl", 40)
    history, constant = document["predictors"].values()
    assert list(document["predictors"]) == [str(folder), "constant"]
    assert history["measures"]["kendall_tau"] > 0.5
    assert constant["measures"]["kendall_tau"] is None
    assert history["measures"]["interval_score"] < constant["measures"]["interval_score"]
    assert len(history["calibration"]) == 19
    assert sum(part["size"] for part in history["deciles"]) == 40
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_has_the_numbers_of_the_json_and_what_made_them(soonest, answers, folder, tmp_path):
    words = ("eval", folder, "constant", answers, "-c", "output_tokens=n", "--json", "--seed", 2, "--html", "page.html")
    code, out, err = soonest(*words)
    assert code == 0, err
    assert "wrote page.html" in err
    text = made_with(
        (tmp_path / "page.html").read_text(), shlex.join(["soonest", *map(str, words)]), 2, versions(COMPUTE)
    )
    history, constant = json.loads(out)["predictors"].values()
    for name in ("interval_score", "mae"):
        both = "".join(f"<td>{three_digits(one['measures'][name])}</td>" for one in (history, constant))
        assert f'<td class="word">{FORECAST_MEASURES[name].label}</td><td class="word">tokens</td>{both}' in text
    point = history["calibration"][9]
    assert f"<td>{three_digits(100 * point['level'])}</td><td>{three_digits(100 * point['observed'])}</td>" in text


def test_a_folder_is_measured_on_all_rows_with_its_own_classes(soonest, answers, folder):
    _, out, _ = soonest("eval", folder, answers, "-c", "output_tokens=n", "--json")
    (found,) = json.loads(out)["predictors"].values()
    card = Predictor.from_pretrained(folder).card_
    assert found["measures"]["answers"] == 200
    assert found["measures"]["train_p75"] == card.measured["train_p75"]


def test_what_learns_online_is_measured_as_it_speaks_and_then_speaks(soonest, answers, tmp_path):
    code, out, _ = soonest(
        "fit", answers, "-c", "output_tokens=n", "-p", "online(history)", "-o", tmp_path / "made", "--markdown"
    )
    assert code == 0
    assert "| unknown forecasts | share | 0 |" in out
    made = Predictor.from_pretrained(tmp_path / "made")
    assert made.predict([Prompt.of("a" * 30, model="m")])[0].known


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("words", [["a question"], ["--file", "answers.jsonl"], []])
def test_forecasts_are_printed_and_prompts_are_not(soonest, folder, words):
    stdin = None if words else SAID
    for more in ([], ["--json"]):
        code, out, err = soonest("predict", folder, *words, *more, stdin=stdin)
        assert code == 0, err
        assert "Tuesday" not in out + err
        assert "low" in out
        if words != ["a question"]:
            assert "Tuesday" in soonest("predict", folder, *words, *more, "--show-text", stdin=stdin)[1]


def test_a_forecast_on_the_command_line_is_the_predictors(soonest, folder):
    prompt = Prompt.of("c" * 30 + " x", model="m", max_tokens=500)
    (expected,) = Predictor.from_pretrained(folder).predict([prompt])
    _, out, _ = soonest("predict", folder, prompt.text, "--model", "m", "--max-tokens", "500", "--json")
    assert json.loads(out) == {
        "prompt": 0,
        "low": expected.low,
        "expected": round(expected.expected, 1),
        "high": expected.high,
        "coverage": None,
        "known": True,
    }
    _, table, _ = soonest("predict", folder, prompt.text, "--model", "m")
    row = [line for line in table.splitlines() if line.startswith("|")][-1]
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    assert cells == ["0", str(expected.low), str(round(expected.expected, 1)), str(expected.high), "none"]


def test_stdin_holds_one_prompt_or_bodies_of_requests(soonest, folder, tmp_path):
    body = {"model": "m", "messages": [{"role": "user", "content": "e" * 30}], "max_tokens": 150}
    bodies = "".join(json.dumps({**body, "max_tokens": limit}) + "\n" for limit in (150, 7))
    rows = [json.loads(line) for line in soonest("predict", folder, "--json", stdin=bodies)[1].splitlines()]
    assert [row["prompt"] for row in rows] == [0, 1]
    assert rows[0]["high"] > 7 >= rows[1]["high"]
    odd = json.dumps({**body, "messages": [{"role": "user", "content": "a\u2028b"}]}, ensure_ascii=False)
    assert json.loads(soonest("predict", folder, "--json", "--show-text", stdin=odd)[1])["text"] == "a\u2028b"
    whole = soonest("predict", folder, "--json", "--show-text", stdin='{"not": "a body"}\nsecond line\n')[1]
    assert json.loads(whole)["text"] == '{"not": "a body"}\nsecond line'
    (tmp_path / "two.txt").write_text("first\n\nsecond\n")
    rows = soonest("predict", folder, "--file", "two.txt", "--json", "--show-text")[1].splitlines()
    assert [json.loads(row)["text"] for row in rows] == ["first", "second"]


def test_an_unknown_forecast_says_so(soonest, tmp_path):
    from soonest.predict import predictor

    predictor("constant").save_pretrained(tmp_path / "empty")
    assert "unknown" in soonest("predict", tmp_path / "empty", "hello")[1]
    found = json.loads(soonest("predict", tmp_path / "empty", "hello", "--json")[1])
    assert (found["known"], found["expected"]) == (False, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "answers.jsonl", "-o", "made", "-p", "constant"], "no column holds the lengths of answers"),
        (["fit", "none.jsonl", "-o", "made", "-p", "constant"], "none.jsonl: cannot be read"),
        (["fit", "answers.jsonl", "-o", "made", "-p", "constant", "-c", "n"], "--column takes ROLE=COLUMN"),
        (["fit", "answers.jsonl", "-o", "made", "-p", "magic"], "no predictor 'magic'"),
        (["fit", "answers.jsonl", "-o", "made", "--test-share", "1"], "--test-share must lie between 0 and 1"),
        (["fit", "answers.jsonl", "-o", ".", "-p", "constant"], "holds no predictor: choose another folder"),
        (
            ["fit", "answers.jsonl", "-o", "made", "-p", "constant", "-c", "output_tokens=n", "-n", "1"],
            "cannot split 1",
        ),
        (["fit", "--journal", "none.db", "-o", "made", "--cut", "9"], "--cut is for files"),
        (["fit", "--journal", "none.db", "-o", "made", "-n", "0"], "limit must be at least 1"),
        (["eval", "constant", "answers.jsonl", "--plot", "x.svg"], "name it .png"),
        (["eval", "constant", "answers.jsonl", "--html", "x.png"], "name it .html"),
        (["eval", "constant", "answers.jsonl", "--html", "nowhere/x.html"], "there is no folder nowhere"),
        (["eval", "nowhere/at/all", "answers.jsonl"], "there is no such folder"),
        (["eval", ".", "answers.jsonl"], "config.json: is missing"),
        (["predict", ".", "text"], "config.json: is missing"),
        (["predict", "made", "text", "--file", "answers.jsonl"], "give TEXT or --file, not both"),
        (["predict", "made", "text", "--max-tokens", "0"], "--max-tokens must be at least 1"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_and_nothing_is_written(soonest, answers, tmp_path, words, said):
    code, out, err = soonest(*words)
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("soonest: ")
    assert said in last
    assert [path.name for path in tmp_path.iterdir()] == [answers.name]


def test_without_a_prompt_on_a_terminal_the_ways_to_give_one_are_named(soonest, folder):
    code, _, err = soonest("predict", folder)
    assert (code, err) == (2, "soonest: give a prompt as TEXT, with --file, or on stdin\n")


def test_a_second_fit_takes_the_place_of_the_first(soonest, answers, folder):
    code, _, _ = soonest("fit", answers, "-c", "output_tokens=n", "-p", "constant", "-o", folder)
    assert code == 0
    assert Predictor.from_pretrained(folder).name == "constant"
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_a_file_without_a_predictor_is_told_what_is_missing(soonest, answers):
    code, _, err = soonest("eval", answers)
    assert code != 0
    assert "name a predictor before the file" in err

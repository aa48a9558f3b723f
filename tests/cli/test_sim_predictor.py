"""`soonest sim` with real prompts and a predictor that learns as it runs."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

LONG = "Write a long and detailed essay about "
SHORT = "Answer yes or no: is it true that "


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A file of prompts in two templates, and a predictor fitted on four fifths of it."""
    folder = tmp_path_factory.mktemp("prompts")
    chance = np.random.default_rng(0)
    with (folder / "chats.jsonl").open("w") as file:
        for i in range(2000):
            long = bool(chance.integers(2))
            row = {
                "prompt": f"{LONG if long else SHORT}{chance.integers(10**9)}",
                "output_tokens": int(chance.integers(200, 400) if long else chance.integers(1, 9)),
                "conversation_id": str(i),
            }
            file.write(json.dumps(row) + "\n")
    run("fit", folder / "chats.jsonl", "-p", "conformal(history)", "--out", folder / "made")
    return folder


def run(*words, code=0):
    command = [sys.executable, "-m", "soonest", *map(str, words)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == code, found.stderr
    return found


def served(place, *words, code=0):
    engine = ("--slots", 8, "--memory", 4000, "-n", 300, "-r", 1, "-l", 1.2)
    return run("sim", "--prompts", place / "chats.jsonl", "--test-share", 0.2, *engine, *words, code=code)


def test_a_predictor_stands_between_fcfs_and_the_oracle(place, tmp_path):
    out = tmp_path / "runs.csv"
    found = served(place, "--predictor", place / "made", "--csv", out)
    with out.open() as file:
        rows = {f"{row['policy']}@{row['forecast']}": row for row in csv.DictReader(file)}
    first, ours, best = (
        float(rows[a]["mean_e2el_ms"]) for a in ("fcfs@oracle", "shortest@predictor", "shortest@oracle")
    )
    assert best <= ours < 0.8 * first
    assert float(rows["shortest@predictor"]["forecast_kendall_tau"]) > 0.4
    assert rows["shortest@oracle"]["forecast_kendall_tau"] == ""
    assert "forecasts of shortest@predictor at load 1.2, over all arrivals: Kendall's tau" in found.stdout
    assert "prompt = prompt" in found.stderr


def test_several_predictors_are_named(place):
    words = ("--predictor", f"one={place / 'made'}", "--predictor", f"two={place / 'made'}")
    found = served(place, *words, "-p", "fcfs,shortest@one,shortest@two,shortest@noise(0.5)", "--json", "/dev/stdout")
    runs = json.loads(found.stdout[found.stdout.index("\n{") :])["runs"]
    means = {row["forecast"]: row["mean_e2el_ms"] for row in runs if row["policy"] == "shortest"}
    assert means["one"] == pytest.approx(means["two"], rel=0.02)  # but for the latency, as measured
    assert means["noise(0.5)"] != means["one"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--predictor", "made", "--slots", "8"), "add --prompts FILE"),
        (("--prompts", "chats.jsonl", "--lengths", "chats.jsonl"), "give one of them"),
        (("--test-share", "0.5"), "add --prompts FILE"),
        (("--prompts", "chats.jsonl", "--predictor", "nowhere"), "no such folder"),
        (("--prompts", "chats.jsonl", "--predictor", "oracle=made"), "call it something else"),
        (("--prompts", "chats.jsonl", "--predictor", "made", "-p", "shortest@predictor,x@other"), "no policy 'x'"),
        (("--prompts", "chats.jsonl", "--predictor", "made", "-p", "fcfs"), "no policy is told the predictor"),
        (
            ("--prompts", "chats.jsonl", "--test-share", "0.2", "--predictor", "made", "-n", "500"),
            "give fewer --requests",
        ),
        (("--prompts", "chats.jsonl", "--predictor", "made", "--test-share", "2"), "between 0 and 1"),
        (("--prompts", "chats.jsonl", "--predictor", "made", "--backend", "kernel"), "as it runs"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(place, words, said, monkeypatch):
    monkeypatch.chdir(place)
    found = run("sim", *words, code=2)
    assert said in found.stderr.splitlines()[-1]

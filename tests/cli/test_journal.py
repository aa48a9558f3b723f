"""What a gateway's journal is good for afterwards: a replay against fcfs, and something to learn from."""

import asyncio
import json
import time

import numpy as np
import pytest

from soonest.cli.asked import moment
from soonest.core import SimulationError
from soonest.data.journal import Row
from soonest.gateway.journal import journal
from soonest.gateway.journal.savings import Savings

LONG, SHORT = "Write a long essay about ", "Answer yes or no: "


def rows(n=400, *, prompts=False):
    """Answers of an engine with four slots and a hundredth of a second a token, served in arrival order."""
    chance = np.random.default_rng(0)
    free, made, arrival = [0.0] * 4, [], 0.0
    for i in range(n):
        arrival += float(chance.exponential(0.19))
        long = i % 3 == 0
        tokens = int(chance.integers(150, 300) if long else chance.integers(2, 9))
        admitted = max(arrival, min(free))
        free[free.index(min(free))] = finished = admitted + 0.01 * tokens
        body = {"messages": [{"role": "user", "content": f"{LONG if long else SHORT}{chance.integers(10**9)}"}]}
        made.append(
            Row(
                f"r{i}",
                1e9 + arrival,
                1e9 + admitted,
                1e9 + admitted + 0.01,
                1e9 + finished,
                prompt_tokens=5,
                output_tokens=tokens,
                low=1.0,
                expected=tokens * float(chance.uniform(0.7, 1.4)) + 1,
                high=1000.0,
                known=True,
                policy="fcfs",
                model="m",
                outcome="finished",
                finish_reason="stop",
                prompt=json.dumps(body) if prompts else None,
            )
        )
    return made


def written(path, kept, **notes):
    async def go():
        made = journal(str(path))
        for key, value in notes.items():
            made.note(key, value)
        for row in kept:
            made.finished(row)
        await made.close()
        assert made.lost == 0

    asyncio.run(go())
    return path


def test_what_another_policy_would_have_given_is_one_command(soonest, tmp_path):
    written(tmp_path / "journal.db", rows(), in_flight=4)
    code, out, said = soonest("sim", "--journal", "journal.db", "--json", "out.json")
    assert code == 0, said
    assert "400 answers under fcfs" in said
    assert "fcfs, replayed: mean JCT" in out
    assert "do not trust" not in out
    document = json.loads((tmp_path / "out.json").read_text())
    assert abs(document["replay"]["difference"]) < 0.02
    assert document["replay"]["trusted"]
    assert document["conditions"]["rules"]["slots"] == 4
    assert document["conditions"]["step_time_ps"]["iteration"] == pytest.approx(1e10, rel=0.02)
    means = {run["policy"]: run["mean_e2el_ms"] for run in document["runs"]}
    assert means["shortest"] < 0.9 * means["fcfs"]
    assert len(document["runs"]) == 2


def test_a_replay_that_is_far_off_says_so(soonest, tmp_path):
    written(tmp_path / "journal.db", rows(), in_flight=1)
    code, out, _ = soonest("sim", "--journal", "journal.db")
    assert code == 0
    assert "over 10 % off: do not trust" in out


def test_policies_rows_and_times_can_be_chosen(soonest, tmp_path):
    written(tmp_path / "journal.db", rows(), in_flight=4)
    window = ("--since", "1000000010", "--until", "1000000060")
    code, out, said = soonest("sim", "--journal", "journal.db", *window, "-p", "fcfs,shortest@journal,shortest@oracle")
    assert (code, "shortest@oracle" in out) == (0, True), said
    code, _, said = soonest("sim", "--journal", "journal.db", "-n", "50", "--model", "m")
    assert (code, "50 answers" in said) == (0, True)


def test_the_place_can_be_told_on_stdin(soonest, tmp_path):
    written(tmp_path / "journal.db", rows(), in_flight=4)
    code, out, _ = soonest("sim", "--journal", "-", stdin="journal.db\n")
    assert (code, "fcfs, replayed" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--journal", "none.db"], "no journal none.db"),
        (["--journal", "mysql://host/base"], "give the path of a file"),
        (["--journal", "none.db", "--trace", "azure-conv"], "--journal and --trace both say what to serve"),
        (["--journal", "none.db", "--prompts", "a.jsonl"], "--journal and --prompts both say what to serve"),
        (["--since", "24h"], "add --journal FILE"),
        (["-p", "shortest@journal"], "add --journal FILE"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(soonest, words, remedy):
    code, out, said = soonest("sim", *words)
    assert (code, out, said.count("\n")) == (2, "", 1)
    assert remedy in said


def test_a_moment_is_a_date_a_number_or_so_long_ago():
    assert moment("1000.5", "--since") == 1000.5
    assert moment("2026-11-25T08:00+00:00", "--since") == 1795593600
    assert moment("2h", "--since") == pytest.approx(time.time() - 7200, abs=5)
    with pytest.raises(SimulationError, match="--until takes"):
        moment("yesterday", "--until")


def test_a_predictor_learns_from_a_journal(soonest, tmp_path):
    written(tmp_path / "journal.db", rows(1500, prompts=True))
    code, out, said = soonest("fit", "--journal", "journal.db", "-p", "conformal(history)", "--out", "made")
    assert code == 0, said
    assert "1,500 answers" in said
    assert "Kendall" in out
    code, out, _ = soonest("predict", "made", f"{LONG}123456789", "--model", "m", "--json")
    assert (code, json.loads(out)["expected"] > 100) == (0, True), out


def test_a_journal_without_prompts_teaches_nothing_and_says_why(soonest, tmp_path):
    written(tmp_path / "journal.db", rows(20))
    code, _, said = soonest("fit", "--journal", "journal.db", "--out", "made")
    assert (code, "soonest serve --journal-prompts" in said) == (2, True)
    code, _, said = soonest("fit", "--out", "made")
    assert (code, "or --journal" in said) == (2, True)


@pytest.mark.slow
def test_a_gateway_learns_from_a_replay_what_its_policy_saves(tmp_path):
    told = [row._replace(policy="shortest") for row in rows()]
    written(tmp_path / "journal.db", told, in_flight=4)
    savings = Savings(str(tmp_path / "journal.db"))
    asyncio.run(savings.look())
    assert savings.saved is None  # it was fcfs, whatever the rows say
    assert "10 % off" in savings.reason
    written(tmp_path / "true.db", rows(), in_flight=4)
    savings = Savings(str(tmp_path / "true.db"))
    asyncio.run(savings.look())
    assert savings.saved is not None
    assert savings.saved.seconds_a_request == 0

"""`soonest bench`: what it refuses before anything starts, and what it leaves behind."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from tests.cli.pages import made_with
from tests.fakes.engine import running

from soonest.cli.bench import arms, measuring
from soonest.core import SimulationError
from soonest.report.table import three_digits

BENCH = [sys.executable, "-c", "from soonest.cli import main; main()", "bench"]


@pytest.fixture
def soonest(soonest):
    """`soonest bench`."""
    return partial(soonest, "bench")


@pytest.fixture(scope="module")
def engine():
    with running(slots=4, step_ms=1) as fake:
        yield fake


@pytest.fixture
def prompts(tmp_path):
    """A file of 60 prompts."""
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": f"{i} tokens={1 + i % 30}", "output_tokens": 4}) + "\n" for i in range(60))
    )
    return path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--url", "http://a", "--compare", "fcfs"], "give --engine URL instead of --url"),
        (["--url", "http://a", "--engine", "http://b"], "give --engine URL instead of --url"),
        (["some/model", "--engine", "http://b"], "give a MODEL to start, or an --engine that runs"),
        (["--url", "http://a", "--load", "0.9", "--request-rate", "2"], "one of --request-rate and --load"),
        (["--url", "http://a", "--load", "0"], "must be positive"),
        (["--url", "http://a", "--arrivals", "replay"], "add --trace"),
        (["--url", "http://a", "--ignore-eos"], "add --prompts FILE"),
        (["--url", "http://a", "--extra-body", "[1]"], "takes a JSON object"),
        (["--url", "http://a", "--metric-percentiles", "most"], "takes numbers between commas"),
        (["--url", "http://a", "--goodput", "jct:5"], "no SLO jct"),
        (["--url", "http://a", "--json", "nowhere/out.json"], "there is no folder nowhere"),
        (["--url", "http://a", "--html", "nowhere/out.html"], "there is no folder nowhere"),
        (["--url", "http://a", "--html", "out.htm"], "name it .html"),
        (["--engine", "http://a", "--compare", "fcfs,shortest"], "shortest needs forecasts: add --predictor DIR"),
        (["--engine", "http://a", "--compare", "fcfs,shortest@mine"], "add --predictor mine=DIR"),
        (["--engine", "http://a", "--compare", "fcfs,nonsense@oracle"], "no policy 'nonsense'"),
        (["--url", "a"], "is no URL"),
        (["--url", "http://a", "--predictor", "f"], "--predictor is for what --compare starts"),
        (["--url", "http://a", "--gateway-flags", "--no-hints"], "--gateway-flags is for what --compare starts"),
        (["--url", "http://a", "--engine-flags", "--slots 4"], "--engine-flags is for what --compare starts"),
        (["--engine", "http://a", "--compare", "fcfs", "--engine-flags", "--slots 4"], "leave out --engine, or it"),
        (["--url", "http://a", "--burstiness", "0.5"], "is that of gamma arrivals, and these are burst"),
        (["--url", "http://a", "--burstiness", "2", "--arrivals", "fixed", "--rate", "2"], "and these are fixed"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(soonest, words, told):
    code, out, said = soonest(*words)
    assert (code, out) == (2, "")
    assert told in said.splitlines()[-1]


def test_an_endpoint_that_is_not_there_is_a_line(soonest):
    code, out, said = soonest("--url", "http://127.0.0.1:9")
    assert (code, out) == (2, "")
    assert "does not answer" in said


def test_a_run_prints_vllm_s_report_and_writes_json_and_csv(soonest, engine, prompts, tmp_path):
    code, out, _ = soonest(
        "--url", engine.url, "--prompts", prompts, "--request-rate", 200, "-n", 60, "--json", "out.json",
        "--save-detailed", "--records", "records", "--goodput", "e2el:60000", "--api-key", "secret",
    )  # fmt: skip
    assert code == 0
    assert out.startswith(
        "============ Serving Benchmark Result ============\nSuccessful requests:" + " " * 21 + "60\n"
    )
    document = json.loads((tmp_path / "out.json").read_text())
    (run,) = document["runs"]
    assert (run["completed"], run["failed"], run["num_prompts"]) == (60, 0, 60)
    assert run["request_goodput"] == pytest.approx(run["request_throughput"])
    assert sorted(run["output_lens"]) == sorted(1 + i % 30 for i in range(60))
    assert "secret" not in json.dumps(document)
    with (tmp_path / "records" / "fake-0.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 60


def test_several_loads_and_repetitions_are_tables(soonest, engine, prompts):
    code, out, said = soonest(
        "--url", engine.url, "--prompts", prompts, "-l", 0.5, "-l", 0.9, "-r", 2, "-n", 40, "--concurrency", 8,
        "--markdown",
    )  # fmt: skip
    assert code == 0
    assert "sustained in a closed loop: " in said
    assert [out.count(f"load {load} of ") for load in (0.5, 0.9)] == [1, 1]
    assert out.count("| policy |") == 2


def test_a_page_has_the_numbers_of_the_json_and_what_made_them(soonest, engine, prompts, tmp_path):
    code, _, said = soonest(
        "--url", engine.url, "--prompts", prompts, "-l", 0.5, "-l", 0.9, "-n", 40, "--concurrency", 8, "--seed", 4,
        "--html", "out.html", "--json", "out.json", "--api-key", "secret",
    )  # fmt: skip
    assert code == 0
    assert "wrote out.html" in said
    page, document = (tmp_path / "out.html").read_text(), json.loads((tmp_path / "out.json").read_text())
    assert "secret" not in page
    text = made_with(page, document["command"], 4, document["versions"])
    assert text.count("Plotly.newPlot(") == 7  # two distributions a load, three curves against load
    for run in document["runs"]:
        row = f'<td class="word">mean_e2el_ms</td><td>{three_digits(run["mean_e2el_ms"])}</td>'
        assert row in text
        assert f'<td class="word">completed</td><td>{run["completed"]}</td>' in text
    assert f'<td class="word">arrivals</td><td>{document["conditions"]["arrivals"]}</td>' in text


def test_failures_are_told_and_the_command_goes_on(soonest, engine, tmp_path):
    lines = [{"prompt": f"{i} tokens=3" + (" fault=status:500" if i >= 20 else "")} for i in range(30)]
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, lines)))
    code, out, _ = soonest("--url", engine.url, "--prompts", "some.jsonl", "-n", 30, "--request-rate", 300)
    assert code == 0
    assert "fake: failed and in no latency: 10 x HTTP 500." in out


def test_lengths_of_a_trace_are_asked_for(soonest, engine, tmp_path):
    code, _, _ = soonest(
        "--url", engine.url, "--trace", "sample", "-n", 20, "--arrivals", "burst", "--json", "out.json",
    )  # fmt: skip
    assert code == 0
    (run,) = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert run["completed"] == 20
    assert run["max_concurrent_requests"] > 4


def test_ctrl_c_prints_what_there_is(engine, prompts):
    words = ["--url", engine.url, "--prompts", str(prompts), "-n", "600", "--request-rate", "15", "--arrivals", "fixed"]
    with subprocess.Popen([*BENCH, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        before = engine.seen()["requests"]
        while engine.seen()["requests"] < before + 20:  # warmed up, and some
            time.sleep(0.05)
            assert child.poll() is None
        os.kill(child.pid, signal.SIGINT)
        out, _ = child.communicate(timeout=20)
    assert child.returncode == 130
    assert "Successful requests:" in out
    assert "fake: interrupted; only what had left is counted." in out


def test_arms_are_told_what_they_name():
    made = arms.gateways(["fcfs,shortest,shortest@oracle,a_max@mine,shortest@none"], {"mine": "m"}, "shipped")
    assert [(g.label, g.folder) for g in made] == [
        ("fcfs", None),
        ("shortest", "shipped"),
        ("shortest@oracle", None),
        ("a_max@mine", "m"),
        ("shortest@none", None),
    ]
    words = made[1].words("http://e", "--in-flight 4")
    assert words[:5] == ["serve", "--engine", "http://e", "--policy", "shortest"]
    assert words[-2:] == ["--in-flight", "4"]
    assert "shipped" in words
    with pytest.raises(SimulationError, match="add --predictor DIR"):
        arms.gateways(["shortest"], {}, None)


@pytest.mark.parametrize(
    ("words", "started", "loads", "limit"),
    [
        ([], ["--port", "0", "--policy", "fcfs", "--slots", "4", "--threads", "1"], [2.0], 160),
        (
            ["--engine-flags", "--slots 9"],
            ["--port", "0", "--policy", "fcfs", "--slots", "4", "--threads", "1", "--slots", "9"],
            [2.0],
            160,
        ),
        (["a/model", "--predictor", "f"], ["a/model", "--port", "0", "--policy", "fcfs"], [1.2], 512),
    ],
)
def test_an_engine_that_is_started_keeps_the_order_of_arrival(soonest, monkeypatch, words, started, loads, limit):
    setups = []

    def caught(setup):
        setups.append(setup)
        raise SimulationError("enough")

    monkeypatch.setattr(measuring, "measure", caught)
    soonest(*words)
    (setup,) = setups
    assert (setup.engine_words, setup.loads) == (started, loads)
    if limit == 160:
        assert {call.prompt.max_tokens for call in setup.plan.calls} == {160}


def test_no_secret_is_published(soonest, engine, prompts, tmp_path):
    url = engine.url.replace("://", "://someone:S3CRET@")
    code, out, said = soonest(
        "--url", url, "--prompts", prompts, "-n", 20, "--request-rate", 200, "--html", "out.html", "--json", "out.json",
        "--save-detailed",
    )  # fmt: skip
    assert code == 0
    page, document = (tmp_path / "out.html").read_text(), (tmp_path / "out.json").read_text()
    assert "someone:***@" in page
    assert "S3CRET" not in out + said + page + document


FLAGS = (
    "--engine-key S3CRET-1 --engine-key=S3CRET-2 --in-flight 4 --log-level error "
    "--journal postgresql://u:S3CRET-3@127.0.0.1:9/b?password=S3CRET-4 --journal none"
)


@pytest.mark.slow
def test_no_secret_of_a_gateway_s_flags_is_published(soonest, engine, prompts, tmp_path):
    compared = ("--engine", engine.url, "--compare", "fcfs", "--prompts", prompts, "-n", 20, "-r", 1)
    code, out, said = soonest(
        *compared, "--request-rate", 200, "--gateway-flags", FLAGS, "--html", "out.html", "--json", "out.json"
    )
    assert code == 0
    page, document = (tmp_path / "out.html").read_text(), (tmp_path / "out.json").read_text()
    assert "--engine-key ... --engine-key=... --in-flight 4" in page
    assert json.loads(document)["conditions"]["gateway_flags"].startswith("--engine-key ... --engine-key=... --in-fl")
    assert "S3CRET" not in out + said + page + document
    code, out, said = soonest(*compared, f"--gateway-flags={FLAGS} --no-such-flag")
    assert code == 2
    assert "--engine-key ... --engine-key=..." in said
    assert "did not start" in said
    assert "S3CRET" not in out + said


def test_an_endpoint_that_is_not_there_tells_no_password(soonest):
    for url in ("http://u:S3CRET@127.0.0.1:9", "ftp://u:S3CRET@127.0.0.1:9"):
        code, _, said = soonest("--url", url)
        assert (code, "u:***@" in said, "S3CRET" in said) == (2, True, False)

"""`soonest sim`: what it refuses before it simulates, and what it leaves behind."""

import csv
import json
from dataclasses import fields
from functools import partial

import pytest
from tests.cli.pages import made_with

from soonest.cli import results
from soonest.cli.progress import lines
from soonest.data import sample, write_log
from soonest.report import NOTHING_QUEUED
from soonest.report.table import three_digits
from soonest.sim import Options
from soonest.sim.host import Host
from soonest.studies import Scenario

QUICK = ("-n", "40", "-r", "1", "--slots", "4", "--memory", "30000")


@pytest.fixture
def soonest(soonest):
    """`soonest sim`."""
    return partial(soonest, "sim")


@pytest.fixture
def never_simulates(monkeypatch):
    def run(_host):
        raise AssertionError("it simulated")

    monkeypatch.setattr(Host, "run", run)


@pytest.fixture
def logged(tmp_path):
    """A log of 40 requests without block hashes."""
    write_log(tmp_path / "calls.jsonl", sample().head(40))
    return tmp_path / "calls.jsonl"


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--timeout", "1"], "add --rules dynamic"),
        (["--timeout", "0", "--rules", "continuous"], "add --rules dynamic"),
        (["--burstiness", "0.5"], "add --arrivals gamma"),
        (["--burstiness", "1", "--arrivals", "poisson"], "add --arrivals gamma"),
        (["--overdue-every", "4"], "add --overdue-after"),
        (["--watermark", "0.1", "--slots", "8"], "add --memory"),
        (["--clear", "1", "--slots", "8"], "add --memory"),
        (["--predictions", "calls.jsonl", "--policy", "fcfs,shortest@classes(0.6)"], "as in shortest@classes"),
        (["--format", "azure"], "add --trace FILE"),
        (["--format", "azure", "--trace", "azure-conv"], "add --trace FILE"),
        (["--model", "ChatGPT"], "add --trace, --lengths or --prompts"),
        (["--router", "random"], "add --engines"),
        (["--speeds", "1,0.5"], "add --engines"),
        (["--gateways", "2", "--router", "random", "--replicas", "3"], "give one of them"),
    ],
)
@pytest.mark.usefixtures("never_simulates", "logged")
def test_a_flag_that_would_be_ignored_is_refused_with_what_to_do(soonest, words, remedy):
    code, out, said = soonest(*words)
    assert (code, out, said.count("\n")) == (2, "", 1)
    assert said.startswith(f"soonest: {words[0]} ")
    assert said.endswith(f"{remedy}, or leave it out\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--prefix-blocks", "100"], "leave out --prefix-blocks"),
        (["--prefix-blocks", "100", "--trace", "calls.jsonl"], "or give a trace with block hashes"),
        (["--goodput", "ttfs:200"], "no SLO ttfs; known: ttft, tpot, e2el"),
        (["--goodput", "ttft:0"], "SLO ttft must be above 0 ms"),
        (["--goodput", "ttft:nan"], "SLO ttft must be above 0 ms"),
        (["--policy", "fcfs,shortest@nonsense"], "no forecasts 'nonsense'; known: oracle"),
        (["--policy", "fcfs,shortest@noise(-1)"], "sigma must lie in"),
        (["--predictions", "calls.jsonl", "--lengths", "calls.jsonl"], "need one predicted class"),
        (["--policy", "fcfs,nonsense"], "no policy 'nonsense'"),
        (["--repetitions", "0"], "at least one repetition"),
        (["--replicas", "0"], "engines must lie in 1..1024, got 0"),
        (["--gateways", "0"], "gateways must lie in 1..1024, got 0"),
        (["--speedup", "0"], "speedup must be a finite number > 0"),
        (["--replicas", "2", "--speeds", "1"], "give one speed an engine: 2, got 1"),
        (["--replicas", "2", "--speeds", "1,fast"], "--speeds takes numbers between commas"),
        (["--replicas", "2", "--router", "prefix_affinity", "--trace", "calls.jsonl"], "or with tenants"),
    ],
)
@pytest.mark.usefixtures("never_simulates")
def test_what_cannot_be_done_is_refused_before_the_first_simulation(soonest, tmp_path, words, told):
    (tmp_path / "calls.jsonl").write_text('{"timestamp": 0, "input_length": 9, "output_length": 5}\n' * 9)
    code, out, said = soonest(*words)
    assert (code, out, said.count("\n")) == (2, "", 1)
    assert told in said


@pytest.mark.parametrize(
    "words",
    [
        ["--rules", "dynamic", "--timeout", "1"],
        [*QUICK, "--arrivals", "gamma", "--burstiness", "0.5"],
        [*QUICK, "--overdue-after", "5", "--overdue-every", "4"],
        [*QUICK, "--watermark", "0.1"],
        [*QUICK, "--policy", "fcfs,shortest@classes", "--predictions", "predictions.csv"],
        [*QUICK, "--trace", "calls.jsonl", "--format", "log"],
        [*QUICK, "--trace", "hashed.jsonl", "--prefix-blocks", "100"],
        [*QUICK, "--trace", "hashed.jsonl", "--prefix-blocks", "100", "--replicas", "2", "--router", "prefix_affinity"],
    ],
)
@pytest.mark.usefixtures("logged")
def test_a_flag_that_means_something_is_taken(soonest, tmp_path, words):
    (tmp_path / "predictions.csv").write_text(
        "output_tokens,pred_class5\n" + "".join(f"{n},{min(n // 20, 4)}\n" for n in range(1, 101))
    )
    row = '{"timestamp": 0, "input_length": 512, "output_length": 5, "hash_ids": [7]}\n'
    (tmp_path / "hashed.jsonl").write_text(row * 9)
    code, out, _ = soonest(*words, "-n", "40", "-r", "1", "--rate", "1")
    assert code == 0
    assert "| fcfs" in out


@pytest.mark.parametrize(("speedup", "arrivals"), [(1, "replay"), (3, "replay"), (3, "poisson")])
def test_a_part_of_a_trace_is_as_many_times_as_fast_as_it_was(soonest, tmp_path, speedup, arrivals):
    """Its own rate, which is half of the whole trace's, and not that one."""
    words = ("--speedup", speedup, "-n", 100, "-r", 1, "-p", "fcfs", "--arrivals", arrivals)
    assert soonest(*words, "--json", tmp_path / "a.json")[0] == 0
    (run,) = json.loads((tmp_path / "a.json").read_text())["runs"]
    rate = sample().rate if arrivals == "poisson" else sample().head(100).rate
    assert run["request_rate"] == pytest.approx(speedup * rate, rel=0.3 if arrivals == "poisson" else 1e-9)
    assert sample().head(100).rate < 0.6 * sample().rate


def test_a_pipe_is_told_how_far_it_is_and_seldom(soonest, monkeypatch):
    words = ("--policy", "fcfs,longest", "--requests", 50, "-r", 2, "-l", 0.5)
    assert " of 4" not in soonest(*words)[2]
    monkeypatch.setattr(lines, "EVERY", 0.0)
    assert [f"simulated: {n} of 4\n" in soonest(*words)[2] for n in (1, 4)] == [True, True]


def test_goodput_is_a_column_where_somebody_stated_slos(soonest):
    plain = soonest(*QUICK, "--policy", "fcfs", "--markdown")[1]
    code, out, _ = soonest(*QUICK, "--policy", "fcfs", "--goodput", "ttft:200", "--goodput", "e2el:9000", "--markdown")
    assert code == 0
    assert "goodput" not in plain
    heading = next(line for line in out.splitlines() if line.startswith("| policy"))
    assert heading.rstrip(" |").endswith("goodput req/s")
    assert "goodput within ttft 200 ms, e2el 9000 ms" in out
    assert "goodput = count(ttft <= a and" in out


@pytest.mark.parametrize("form", [[], ["--markdown"]])
def test_what_the_columns_mean_stands_once_beneath_the_last_table(soonest, form):
    code, out, _ = soonest(*QUICK, "--policy", "fcfs,shortest", "-l", "0.01", "-l", "0.8", "-l", "1.1", *form)
    joined = " ".join(out.split())
    assert code == 0
    assert joined.count("| policy") == joined.count("; load ") == 3
    assert joined.count("JCT = finished - arrival (s)") == joined.count("gain = 100") == 1
    assert joined.rindex("| shortest") < joined.index("JCT = finished")
    assert joined.index(NOTHING_QUEUED) < joined.index("load 0.8")  # it is true of the first load alone


def test_the_document_holds_every_condition(soonest, tmp_path, logged):
    slos = ("--goodput", "ttft:200")
    options = ("--tenant-weights", "t1=2", "--arrivals", "gamma", "--burstiness", "0.5", "--lengths", logged)
    code, *_ = soonest(
        *QUICK, *options, *slos, "-p", "fcfs", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"
    )
    document = json.loads((tmp_path / "a.json").read_text())
    said = document["conditions"]
    assert code == 0
    names = {"step_time": "step_time_ps", "weights": "tenant_weights", "asked": "predictors"}
    parts = {f.name for kind in (Scenario, Options) for f in fields(kind)} - {"options"}
    assert {names.get(part, part) for part in parts} <= said.keys()
    stated = {"tenant_weights": {"t1": 2}, "burstiness": 0.5, "lengths": "calls", "slos_ms": {"ttft": 200}}
    unset = {"prefix_blocks": 0, "predictions": None, "backend": "auto", "overdue_after": None}
    assert {name: said[name] for name in stated | unset} == stated | unset
    with (tmp_path / "a.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["request_goodput"]) == document["runs"][0]["request_goodput"]


@pytest.mark.parametrize(
    ("words", "title", "said"),
    [
        (["--replicas", "3"], ", 3 engines, ", {"speeds": [1, 1, 1], "router": None, "gateways": 1}),
        (
            ["--replicas", "2", "--speeds", "1,0.5", "--router", "power_of_two"],
            ", 2 engines of speeds 1, 0.5 behind power_of_two, ",
            {"speeds": [1, 0.5], "router": "power_of_two", "gateways": 1},
        ),
        (["--gateways", "3"], ", 1 engine behind 3 gateways, ", {"speeds": [1], "router": None, "gateways": 3}),
    ],
)
def test_a_fleet_stands_in_the_title_and_in_the_document(soonest, tmp_path, words, title, said):
    code, out, _ = soonest(*QUICK, *words, "-p", "fcfs,shortest", "-l", "1.2", "--json", tmp_path / "a.json")
    document = json.loads((tmp_path / "a.json").read_text())
    assert code == 0
    assert title in " ".join(out.split())
    assert {name: document["conditions"][name] for name in said} == said
    assert {"mean_e2el_ms", "p99_e2el_ms", "max_e2el_ms"} <= document["runs"][0].keys()


def test_a_plot_says_of_each_panel_what_is_true_of_it(soonest, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr("soonest.report.plot", lambda _path, *given, **named: drawn.update(named, title=given[2]))
    loads = ("-l", "0.5", "-l", "1.2", "-p", "fcfs", "--plot", tmp_path / "a.png")
    assert soonest(*QUICK, *loads, "-r", "3")[0] == 0
    left, right = drawn["panels"]
    assert "load" not in drawn["title"]
    assert left.startswith("load 1.2 of ")
    assert left.endswith("; 3 repetitions pooled")
    assert right == "means of 3 repetitions, with 95 % confidence intervals"
    monkeypatch.setattr(results, "KEPT", 2)
    assert soonest(*QUICK, *loads, "-r", "3")[0] == 0
    assert drawn["panels"][0].endswith("; 2 of 3 repetitions pooled")
    assert soonest(*QUICK, *loads)[0] == 0
    assert [panel.rpartition("; ")[2] for panel in drawn["panels"]] == ["one repetition"] * 2


@pytest.mark.parametrize(("flag", "other"), [("--memory", "--slots"), ("--slots", "--memory")])
def test_one_flag_of_the_sample_s_engine_alone_is_told_to_replace_it(soonest, flag, other):
    code, _, err = soonest(flag, 20_000, "-n", 50, "-p", "fcfs")
    assert code == 0
    assert f"{flag} replaces the sample's small engine" in err
    assert f"without {other}" in err
    assert "replaces" not in soonest("--memory", 20_000, "--slots", 64, "-n", 50, "-p", "fcfs")[2]


def test_a_page_has_the_numbers_of_the_json_and_what_made_them(soonest, tmp_path):
    words = (*QUICK, "-r", "2", "-l", "0.5", "-l", "1.2", "-p", "fcfs,shortest", "--seed", "3")
    code, _, said = soonest(*words, "--html", "page.html", "--json", "a.json")
    assert code == 0
    assert "wrote page.html" in said
    page, document = (tmp_path / "page.html").read_text(), json.loads((tmp_path / "a.json").read_text())
    text = made_with(page, document["command"], 3, document["versions"])
    assert text.count("Plotly.newPlot(") == 5  # two distributions at the highest load, three curves against load
    for load in (0.5, 1.2):
        means = [
            three_digits(
                sum(run["mean_e2el_ms"] for run in document["runs"] if (run["load"], run["policy"]) == arm) / 2
            )
            for arm in ((load, "fcfs"), (load, "shortest"))
        ]
        cells = "".join(f"<td>{mean}</td>" for mean in means)
        assert f'<td class="word">mean_e2el_ms</td>{cells}' in text
    assert '<td class="word">rules.slots</td><td>4</td>' in text


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--html", "page.png"], "name it .html"),
        (["--html", "nowhere/page.html"], "there is no folder nowhere"),
        (["--plot", "page.html"], "a page to explore is what --html writes"),
    ],
)
@pytest.mark.usefixtures("never_simulates")
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_simulated(soonest, words, remedy):
    code, out, said = soonest(*QUICK, *words)
    assert (code, out) == (2, "")
    assert remedy in said

"""Two real processes compared: paired, interleaved, drained, and honest."""

import asyncio
import json
import math
import subprocess
import sys
import time

import pytest
from tests.gateway.clients import CHAT, chat, until
from tests.gateway.raw import connect, post

from soonest.bench import Answer, Comparison, Contender, Endpoint, Load, Plan, Ran
from soonest.bench.printing import flat, oracle_gains, oracle_shares, remarks, report
from soonest.bench.probe import UNDER_WAY
from soonest.bench.servers import CHILD, serving
from soonest.core import SoonestError
from soonest.data import sample
from soonest.report import NOTHING_QUEUED, to_markdown

FAKE = (sys.executable, "-m", "tests.fakes.engine")
VLLM_KEYS = [
    "duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput",
    "request_goodput", "output_throughput", "total_token_throughput",
    *(f"{stat}_{key}_ms" for key in ("ttft", "tpot", "itl", "e2el") for stat in ("mean", "median", "std", "p99")),
    "max_output_tokens_per_s", "max_concurrent_requests",
]  # fmt: skip
VLLM_LISTS = ["input_lens", "output_lens", "ttfts", "itls", "start_times", "errors"]


class Quiet:
    def __init__(self):
        self.began, self.said, self.left, self.ended = [], [], 0, 0

    def begin(self, what, calls):
        self.began.append((what, calls))

    def heard(self, answer):
        self.left += answer is None
        self.ended += answer is not None

    def say(self, line):
        self.said.append(line)


def compared(calls, step_ms=(2, 8), **facts):
    """A fast and a slow fake engine, each a process of its own."""

    async def run():
        watch = Quiet()
        async with (
            serving("--slots", "2", "--step-ms", str(step_ms[0]), command=FAKE) as fast,
            serving("--slots", "2", "--step-ms", str(step_ms[1]), command=FAKE) as slow,
        ):
            contenders = [
                Contender("slow", Endpoint(slow, "fake")),
                Contender("fast", Endpoint(fast, "fake"), oracle=facts.pop("oracle", False)),
            ]
            plan = Plan(calls, sample(), "gamma", 0.5, repetitions=facts.pop("repetitions", 2))
            comparison = Comparison(contenders, plan, slow, **facts)
            await comparison.run(watch)
        return comparison, watch

    return asyncio.run(run())


@pytest.fixture(scope="module")
def measured():
    from soonest.bench import Call
    from soonest.core import Prompt

    calls = [Call(Prompt.of(f"{i} tokens={5 + i % 20}", max_tokens=100)) for i in range(30)]
    return compared(calls, loads=[0.8], requests=30, concurrency=4, oracle=True)


def test_the_faster_of_two_processes_is_found_to_be_faster(measured):
    comparison, _ = measured
    slow, fast = comparison.rows(0.8)
    assert fast.mean("mean_e2el_ms") < 0.8 * slow.mean("mean_e2el_ms")
    assert "| fast" in to_markdown([slow, fast])
    assert 0.3 * 17.2 < comparison.capacity < 1.3 * 17.2, "two slots, 14.5 tokens of 8 ms; a busy machine is slower"


def test_both_see_the_same_calls_at_the_same_times_in_each_repetition(measured):
    comparison, _ = measured
    for repetition in range(2):
        first, second = (run.ran for run in comparison.runs if run.repetition == repetition)
        assert first.records.output_tokens.tolist() == second.records.output_tokens.tolist()
        due = [[answer.due - ran.start for answer in ran.answers] for ran in (first, second)]
        assert due[0] == pytest.approx(due[1], abs=1e-6)
    assert (
        comparison.runs[0].ran.records.output_tokens.tolist() != comparison.runs[2].ran.records.output_tokens.tolist()
    )


def test_the_watcher_hears_of_all_that_leaves_and_ends(measured):
    _, watch = measured
    assert watch.left == watch.ended == 8 + 8 + 30 + 4 * 30
    assert [calls for _, calls in watch.began] == [8, 8, 30, 30, 30, 30, 30]
    assert any(line.startswith("sustained in a closed loop: ") for line in watch.said)


def test_the_measures_have_vllm_s_keys_and_the_report_its_lines(measured):
    run = measured[0].runs[0]
    assert [key for key in VLLM_KEYS if key not in flat(run)] == []
    assert [key for key in VLLM_LISTS if key not in run.ran.details()] == []
    assert {"mean_queue_ms", "mean_slowdown", "mean_lateness_ms"} <= flat(run).keys()
    lines = report(run.summary).splitlines()
    assert lines[0] == "============ Serving Benchmark Result ============"
    assert lines[1].split() == ["Successful", "requests:", "30"]
    assert any(line.startswith("P99 TTFT (ms):") for line in lines)
    assert max(map(len, lines)) == 50


def test_an_oracle_s_share_of_its_own_gain_is_not_told_and_the_baseline_has_none(measured):
    assert oracle_shares(measured[0], 0.8) == {"slow": 0.0}
    assert isinstance(oracle_gains(measured[0], 0.8), bool)


def test_what_failed_is_told_and_what_never_came_is_refused(fake, asking):
    async def run(fault):
        engine = fake(slots=4, fault=fault)
        contenders = [Contender("a", Endpoint(engine.url, "fake"))]
        comparison = Comparison(contenders, Plan(asking(*[3] * 10), sample(), "burst"), requests=10)
        await comparison.run(Quiet())
        return comparison

    with pytest.raises(SoonestError, match="no request was answered: 8 x HTTP 503"):
        asyncio.run(run("status:503"))
    comparison = asyncio.run(run(""))
    assert not any("failed" in line for line in remarks("a", comparison.runs, 0.05))


def test_every_gateway_is_warm_before_capacity_is_measured(fake, asking):
    async def run():
        engines = [fake(slots=4, step_ms=1) for _ in range(2)]
        contenders = [Contender(name, Endpoint(engine.url, "fake")) for name, engine in zip("ab", engines, strict=True)]
        plan = Plan(asking(*[3] * 10), sample(), "fixed")
        comparison = Comparison(contenders, plan, loads=[0.5], requests=10, concurrency=8, ramp_seconds=2)
        watch = Quiet()
        began = time.perf_counter()
        await comparison.prepare(watch)
        return [engine.seen()["requests"] for engine in engines], watch, time.perf_counter() - began

    (first, second), watch, seconds = asyncio.run(run())
    assert seconds > 4
    assert min(first - 8 - 10, second) > 10, "the calls come again until the time is up"
    assert watch.began[-1][0].startswith("closed loop")


def test_calls_that_one_contender_fails_are_in_no_row(fake, asking):
    async def run():
        contenders = [
            Contender("whole", Endpoint(fake(slots=10, step_ms=4).url, "fake")),
            Contender("failing", Endpoint(fake(slots=10, step_ms=4).url, "fake", timeout=1.2)),
        ]
        calls = [*asking(*[3] * 8), *asking(*[400] * 2)]  # the long ones take longer than the second waits
        comparison = Comparison(contenders, Plan(calls, sample(), "fixed"), rate=50.0, requests=10)
        await comparison.run(Quiet())
        return comparison

    comparison = asyncio.run(run())
    whole, failing = comparison.rows(None)
    assert comparison.unpaired(None) == 2
    assert whole.mean("max_e2el_ms") < 1200, "the long ones are left out where they were answered too"
    assert [row.mean("completed") for row in (whole, failing)] == [8, 8]
    assert {run.label: run.summary["completed"] for run in comparison.runs} == {"whole": 10, "failing": 8}


def test_an_engine_that_others_use_marks_the_run(fake, asking):
    async def run():
        engine = fake(slots=4, step_ms=5)
        watch = Quiet()
        contenders = [Contender("a", Endpoint(engine.url, "fake"))]
        plan = Plan(asking(*[3] * 10), sample(), "fixed")
        comparison = Comparison(contenders, plan, engine.url, rate=100.0, requests=10, quiet_seconds=0.1)
        async with Load(contenders[0].endpoint) as other:
            long = asyncio.create_task(other.closed_loop(asking(600), 1))
            await asyncio.sleep(0.1)
            await comparison.run(watch)
            await long
        await comparison.repeat(watch)
        return comparison, watch

    comparison, watch = asyncio.run(run())
    assert [run.idle for run in comparison.runs] == [False, True]
    assert [flat(run)["engine_idle"] for run in comparison.runs] == [False, True]
    assert any("still runs something" in line for line in watch.said)
    assert any("BUSY when 1 of 2 runs began" in line for line in remarks("a", comparison.runs, 0.05))


def test_interrupted_between_two_runs_it_keeps_those_that_ended(fake, asking):
    engine = fake(slots=4, step_ms=5)
    long = post(CHAT, json.dumps(chat(100_000)).encode())

    async def run(other):
        def now_others_use_it(_):
            other.sendall(long)
            until(lambda: engine.seen()["running"] == 1)

        contender = Contender("a", Endpoint(engine.url, "fake"))
        plan = Plan(asking(*[3] * 10), sample(), "fixed", repetitions=2)
        comparison = Comparison([contender], plan, engine.url, rate=100.0, requests=10, quiet_seconds=600)
        comparison.ended = now_others_use_it
        measuring = asyncio.create_task(comparison.run(Quiet()))
        await asyncio.to_thread(until, lambda: len(comparison.runs) == 1)
        await asyncio.sleep(0.2)  # it waits for the engine
        measuring.cancel()
        await measuring
        return comparison

    with connect(engine.url) as other:
        comparison = asyncio.run(run(other))
    assert comparison.interrupted
    assert [run.summary["completed"] for run in comparison.runs] == [10]


def test_a_label_may_hold_a_brace():
    (count,) = UNDER_WAY.findall('vllm:num_requests_running{model_name="a}b",engine="0"} 3.0\n')
    assert count == "3.0"


def test_variables_of_other_servers_do_not_reach_ours(monkeypatch):
    monkeypatch.setenv("SOONEST_SERVE_POLICY", "nonsense")
    monkeypatch.setenv("SOONEST_ENGINE_SLOTS", "none")
    began, main, ended = CHILD.rpartition("from soonest.cli import main\nmain()")
    assert main
    said = (
        f"{began}print([name for name in os.environ if name.startswith(('SOONEST_SERVE_', 'SOONEST_ENGINE_'))]){ended}"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", said], text=True, **pipes) as child:  # it ends when its stdin does
        assert child.stdout.readline() == "[]\n"


def test_a_child_that_does_not_start_says_why():
    async def run():
        async with serving("-c", "import sys; sys.exit('no luck')", command=(sys.executable,)) as url:
            return url

    with pytest.raises(SoonestError, match="no luck"):
        asyncio.run(run())


@pytest.mark.parametrize(("queued_ms", "told"), [(0.0, True), (50.0, False), (math.nan, False)])
def test_a_run_in_which_nothing_queued_says_so(queued_ms, told):
    answer = Answer("a", 0.0, 0.0, queue_ms=queued_ms, times=[0.1, 0.2], last=0.2, finish="stop")
    assert (NOTHING_QUEUED in report(Ran([answer], 0.0).summary())) == told

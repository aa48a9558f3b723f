"""vLLM's OpenAI-compatible server with our scheduler and our front end, over HTTP with the official client."""

import json
import subprocess
import sys
import time
import urllib.request

import pytest
from openai import OpenAI
from tests.real.waves import goes_first
from tests.vllm import seen
from tests.vllm.servers import COMMAND, SMALL, environment, metrics, server
from tests.vllm.waves import ANSWER, STORY, ask, history, order

from soonest.engines.vllm.metrics import folder_of

INNER = ("--middleware", "tests.vllm.seen.Seen")
FLAGS = ("--scheduler-cls", "soonest.engines.vllm.Scheduler", "--middleware", "soonest.engines.vllm.FrontEnd")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return history(tmp_path_factory.mktemp("predictor") / "history")


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """A file of the bodies that reach vLLM behind our front end."""
    return tmp_path_factory.mktemp("bodies") / "bodies"


@pytest.fixture(scope="module")
def url(llama, predictor, bodies, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "vllm.log"
    variables = {"SOONEST_VLLM_POLICY": "shortest", "SOONEST_VLLM_PREDICTOR": str(predictor)}
    with server(llama, log, *INNER, *FLAGS, **variables, **{seen.VARIABLE: str(bodies)}) as found:
        yield found.url
        assert folder_of(found.pid).is_dir()
    assert not folder_of(found.pid).exists()  # the metrics' pages go with the server


@pytest.fixture
def client(url):
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as found:
        yield found


def test_short_forecasts_end_before_long_ones_that_came_first(client, url):
    wave = [(f"long{i}", "go", 400, [400, 400, 400]) for i in range(2)]
    wave += [(f"short{i}", "go", 4, [4, 4, 4]) for i in range(4)]
    assert goes_first("short", lambda: order(client, url, wave))


def test_the_predictor_of_the_front_end_orders_requests_without_a_forecast(client, url):
    wave = [(f"story{i}", f"{STORY}{100 + i}", 400, None) for i in range(2)]
    wave += [(f"answer{i}", f"{ANSWER}{100 + i}", 4, None) for i in range(3)]
    before = metrics(url)
    assert goes_first("answer", lambda: order(client, url, wave))
    after = metrics(url)
    made = 'soonest_vllm_forecasts_total{outcome="made"}'
    asked = after[made] - before.get(made, 0)
    assert asked
    assert asked % len(wave) == 0


def reached(url, bodies, body):
    """What of these bytes reaches vLLM, and its answer."""
    bodies.write_bytes(b"")
    asked = urllib.request.Request(  # noqa: S310 - our own
        f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - our own
        return bodies.read_bytes().removesuffix(b"\n"), answer.read()


def test_a_body_stays_as_it_is_but_for_what_is_added(url, bodies):
    start = (
        f'{{ "messages" : [{{"role":"user","content":"{ANSWER}\\u0037"}}],\n "model":"small", "max_tokens": 4'.encode()
    )
    hinted = start + b', "temperature":0.70, "vllm_xargs":{"soonest_forecast":[4,4,4.0]} }\n'
    assert reached(url, bodies, hinted)[0] == hinted
    before = metrics(url)
    for end in (b" }\n", b', "vllm_xargs": {"mine": "kept"}, "stream":false}'):
        found, answer = reached(url, bodies, start + end)
        place = (start + end).rindex(b"}")
        new, after = found[place : place - len(start + end)], found[place - len(start + end) :]
        assert (found[:place], after) == ((start + end)[:place], (start + end)[place:])
        assert json.loads(answer)["usage"]["completion_tokens"] <= 4
        (added,) = json.loads(b"{" + new.lstrip(b",") + b"}").items()
        assert added[0] == "vllm_xargs"
        assert len(added[1].pop("soonest_forecast")) == 3
        assert added[1] == ({"mine": "kept"} if b"mine" in end else {})
    hints = 'soonest_vllm_forecasts_hint_total{engine="0"}'
    assert metrics(url)[hints] - before[hints] == 2


def test_metrics_are_at_vllms_own_endpoint(client, url):
    ask(client, "anything", 3, forecast=[3, 3, 3])
    found = metrics(url)
    assert found['soonest_vllm_forecasts_hint_total{engine="0"}'] > 0
    assert found['soonest_vllm_admissions_total{engine="0"}'] > 0
    assert found['soonest_vllm_answers_inside_total{engine="0"}'] > 0
    assert found['soonest_vllm_policy_errors_total{engine="0"}'] == 0
    assert any(name.startswith("vllm:num_requests_waiting") for name in found)


def test_a_stream_shows_its_usage_to_those_who_asked(client):
    for options, shown in (({}, False), ({"stream_options": {"include_usage": True}}, True)):
        stream = client.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": f"{ANSWER}7"}],
            max_tokens=6,
            stream=True,
            extra_body={"ignore_eos": True},
            **options,
        )
        chunks = list(stream)
        assert any(chunk.usage is not None for chunk in chunks) is shown
        assert all(chunk.choices for chunk in chunks) is not shown
        assert chunks[-2 if shown else -1].choices[0].finish_reason == "length"


def test_finished_lengths_return_to_the_predictor(client, url):
    """A template that nobody has seen takes part in the order after some answers that ended by themselves."""
    new = "Translate the following sentence into three languages, please, sentence "
    for i in range(20):
        done = ask(client, f"{new}{i}", 6, ends=True)
        assert (done.choices[0].finish_reason, done.usage.completion_tokens) == ("stop", 6)
    time.sleep(0.5)
    wave = [(f"story{i}", f"{STORY}{200 + i}", 400, None) for i in range(2)]
    wave += [(f"new{i}", f"{new}{100 + i}", 6, None) for i in range(3)]
    assert goes_first("new", lambda: order(client, url, wave))


def test_what_is_no_request_is_vllms_to_refuse(client, url):
    from openai import BadRequestError

    with pytest.raises(BadRequestError):
        client.chat.completions.create(model="small", messages="nobody", max_tokens=3)
    with pytest.raises(BadRequestError):
        ask(client, "odd", 3, forecast={"a": 1})
    assert ask(client, "odd", 3, forecast=[9, 1, 3]).usage.completion_tokens == 3
    assert metrics(url)['soonest_vllm_forecasts_bad_total{engine="0"}'] > 0


def test_completions_of_several_prompts_go_through(client):
    done = client.completions.create(
        model="small", prompt=["one", "two"], max_tokens=3, extra_body={"ignore_eos": True}
    )
    assert [choice.finish_reason for choice in done.choices] == ["length", "length"]


@pytest.mark.parametrize(
    ("flags", "variables", "message"),
    [
        ((), {"SOONEST_VLLM_POLCY": "fcfs"}, "no option 'polcy'; known: SOONEST_VLLM_POLICY"),
        (FLAGS[2:], {"SOONEST_VLLM_PREDICTOR": "/nowhere/forecasts"}, "PredictorError: /nowhere/forecasts"),
    ],
)
def test_what_cannot_be_stops_the_start_and_says_why(llama, flags, variables, message):
    command = [*COMMAND, "--model", str(llama), "--port", "0", *SMALL, *FLAGS[:2], *flags]
    done = subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_without_the_flag_nothing_of_us_is_loaded(llama):
    code = (
        "import sys\n"
        "from vllm import EngineArgs\n"
        "from vllm.v1.engine.llm_engine import LLMEngine\n"
        f"e = LLMEngine.from_engine_args(EngineArgs(model={str(llama)!r}, dtype='float32', enforce_eager=True, "
        "max_model_len=1024, max_num_seqs=2), enable_multiprocessing=False)\n"
        "print([m for m in sys.modules if m.startswith('soonest')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(VLLM_ENABLE_V1_MULTIPROCESSING="0"),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"

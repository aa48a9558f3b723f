"""The gateway before llama-cpp-python's server, which ends an answer when another is asked for."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.real.servers import free_port, serving
from tests.real.waves import order

from soonest.engines import tiny

TURNS = [{"role": "user", "content": "Count from 3 to 9."}]
END = json.loads((tiny.path() / "config.json").read_text())["eos_token_id"]
ENDLESS = {str(end): -100.0 for end in ([END] if isinstance(END, int) else END)}
"""Keeps the model from ending its answer; the server has no other way."""


@pytest.fixture(scope="module")
def engine(gguf, tmp_path_factory):
    port = free_port()
    words = ["--model", str(gguf), "--host", "127.0.0.1", "--port", str(port), "--n_ctx", "4096", "--n_threads", "1"]
    command = [sys.executable, "-m", "llama_cpp.server", *words]
    with serving(command, port, tmp_path_factory.mktemp("log") / "server.log") as found:
        yield found.url


def chat(client, tokens, *, forecast=None, **more):
    extra = {} if forecast is None else {"vllm_xargs": {"soonest_forecast": [forecast] * 3}}
    return client.chat.completions.create(
        model="tiny",
        messages=TURNS,
        max_tokens=tokens,
        temperature=0.0,
        logit_bias=ENDLESS,
        extra_body=extra,
        **more,
    )


def streamed(client, tokens):
    """Events with something in them: one for each token, or two tokens at the border of a character."""
    with chat(client, tokens, stream=True) as stream:
        return sum(bool(event.choices[0].delta.content) for event in stream)


def test_it_is_known_and_gets_one_request_at_a_time(gateway):
    assert gateway.sum("soonest_upstream_in_flight_limit") == 1
    assert gateway.sum("soonest_upstream_up") == 1


def test_a_chat_is_what_the_server_says_streamed_or_not(client, direct):
    plain, through = chat(direct, 24), chat(client, 24)
    assert through.choices[0].message.content == plain.choices[0].message.content
    assert through.usage.completion_tokens == plain.usage.completion_tokens == 24
    with chat(client, 24, stream=True) as stream:
        events = list(stream)
    assert "".join(event.choices[0].delta.content or "" for event in events) == plain.choices[0].message.content


def test_a_completion_is_what_the_server_says(client, direct):
    asked = {"model": "tiny", "prompt": "The ship", "max_tokens": 16, "temperature": 0.0, "logit_bias": ENDLESS}
    plain, through = (one.completions.create(**asked).choices[0].text for one in (direct, client))
    assert through == plain


def test_streams_that_come_together_end_each_other_without_the_gateway_and_are_whole_behind_it(client, direct):
    whole = streamed(client, 400)
    with ThreadPoolExecutor(6) as pool:
        behind = list(pool.map(lambda _: streamed(client, 400), range(6)))
        alone = list(pool.map(lambda _: streamed(direct, 400), range(6)))
    assert behind == [whole] * 6
    assert min(alone) < whole


def test_whoever_waits_goes_by_its_forecast(client, gateway):
    def asking(tokens):
        return lambda: chat(client, tokens, forecast=tokens)

    wave = {f"long {i}": asking(300 + i) for i in range(3)} | {f"short {i}": asking(5 + i) for i in range(3)}
    found = order(
        [asking(1500)],
        wave,
        running=lambda: gateway.sum("soonest_num_requests_running"),
        waiting=lambda: gateway.sum("soonest_num_requests_waiting"),
    )
    assert found == ["short 0", "short 1", "short 2", "long 0", "long 1", "long 2"]

"""The gateway before llama-cpp-python's server, which ends the answer that it makes when another is asked for."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import OpenAI
from tests.gateway.process.served import serving
from tests.llamacpp.servers import python_server

TOKENS = 400
NEVER_ENDS = {"1": -100}
"""A bias against the end of the answer."""


@pytest.fixture(scope="module")
def engine(gguf, tmp_path_factory):
    with python_server(gguf, tmp_path_factory.mktemp("log") / "python.log") as url:
        yield url


@pytest.fixture(scope="module")
def gateway(engine):
    with serving("--engine", engine, "--policy", "shortest", "--journal", "none") as found:
        yield found


def streamed(url, number, tokens=TOKENS, *, stream=True):
    """Tokens of an answer, and how it ended."""
    asked = {
        "model": "tiny",
        "messages": [{"role": "user", "content": f"Tell a story about {number} ships."}],
        "max_tokens": tokens,
        "logit_bias": NEVER_ENDS,
    }
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        if not stream:
            answer = client.chat.completions.create(**asked)
            return answer.usage.completion_tokens, answer.choices[0].finish_reason
        with client.chat.completions.create(**asked, stream=True) as events:
            choices = [event.choices[0] for event in events if event.choices]
        ends = [choice.finish_reason for choice in choices if choice.finish_reason]
        return len(choices), ends[0] if ends else None


def test_alone_before_it_the_next_request_ends_a_running_stream(engine):
    with ThreadPoolExecutor(4) as pool:
        ends = [end for _, end in pool.map(lambda i: streamed(engine, i), range(4))]
    assert None in ends, "this is what the gateway is there for"


def test_it_is_known_and_gets_one_request_at_a_time(gateway):
    assert gateway.sum("soonest_upstream_in_flight_limit") == 1


def test_behind_the_gateway_no_stream_is_ended_by_another_request(gateway):
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(streamed, gateway.url, i, stream=i % 4 != 3) for i in range(8)]
        answers = [call.result() for call in calls]
    assert {end for _, end in answers} == {"length"}
    assert all(tokens >= TOKENS for tokens, _ in answers)


def test_looking_after_it_ends_no_stream_and_takes_no_busy_server_for_dead(gateway):
    begin, answers = time.monotonic(), []
    while time.monotonic() < begin + 4:  # the gateway looks twice a second
        answers.append(streamed(gateway.url, len(answers), 900))
    assert {end for _, end in answers} == {"length"}
    assert gateway.sum("soonest_upstream_up") == 1

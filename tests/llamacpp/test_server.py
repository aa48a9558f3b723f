"""The gateway before llama.cpp's own server, with four slots."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import OpenAI
from tests.gateway.clients import until
from tests.gateway.process.served import serving
from tests.gateway.upstream.talk import opened
from tests.llamacpp.embedded import SLOTS
from tests.llamacpp.servers import get, llama_server
from tests.real.waves import goes_first, order

from soonest.gateway.upstream import DIALECTS, Engine

LONG = 4000
"""Tokens: seconds, for a model of a million parameters on one thread."""
TURNS = [{"role": "user", "content": "Count from 3 to 9."}]
ENDLESS = {"ignore_eos": True}


@pytest.fixture(scope="module")
def engine(gguf, tmp_path_factory):
    with llama_server(gguf, tmp_path_factory.mktemp("log") / "llama.log") as found:
        yield found.url


@pytest.fixture(autouse=True)
def empty(engine):
    """Nothing is left of another test."""
    until(lambda: busy(engine) == 0, 30)


def busy(engine):
    """Slots at work, as the server itself says."""
    return sum(slot["is_processing"] for slot in get(f"{engine}/slots"))


def deferred(engine):
    """Requests that wait in the server."""
    lines = get(f"{engine}/metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("llamacpp:requests_deferred"))


def chat(client, tokens=24, *, forecast=None, **more):
    extra = ENDLESS | ({} if forecast is None else {"vllm_xargs": {"soonest_forecast": [forecast] * 3}})
    return client.chat.completions.create(
        model="tiny", messages=TURNS, max_tokens=tokens, temperature=0.0, extra_body=extra, **more
    )


def test_it_is_known_and_its_slots_are_the_limit(gateway, engine):
    assert get(f"{engine}/props")["total_slots"] == SLOTS
    assert gateway.sum("soonest_upstream_in_flight_limit") == SLOTS
    assert gateway.sum("soonest_upstream_up") == 1


def test_a_chat_is_what_the_server_says_streamed_or_not(client, direct):
    plain, through = chat(direct), chat(client)
    assert through.choices[0].message.content == plain.choices[0].message.content
    assert through.usage.completion_tokens == plain.usage.completion_tokens == 24
    with chat(client, stream=True) as stream:
        events = list(stream)
    assert "".join(event.choices[0].delta.content or "" for event in events) == plain.choices[0].message.content
    assert events[-1].choices[0].finish_reason == "length"
    assert all(event.usage is None for event in events)  # what only the gateway asked for


def test_usage_that_is_asked_for_comes(client):
    with chat(client, stream=True, stream_options={"include_usage": True}) as stream:
        *_, last = stream
    assert (last.choices, last.usage.completion_tokens) == ([], 24)


def test_a_completion_is_what_the_server_says_streamed_or_not(client, direct):
    asked = {"model": "tiny", "prompt": "The ship", "max_tokens": 16, "temperature": 0.0, "extra_body": ENDLESS}
    plain, through = (one.completions.create(**asked).choices[0].text for one in (direct, client))
    assert through == plain
    with client.completions.create(**asked, stream=True) as stream:
        assert "".join(event.choices[0].text for event in stream) == plain


def test_who_leaves_frees_its_slot(client, engine):
    streams = [chat(client, 10 * LONG, stream=True) for _ in range(SLOTS)]
    try:
        for stream in streams:
            next(iter(stream))
        until(lambda: busy(engine) == SLOTS)
        streams[0].close()
        until(lambda: busy(engine) == SLOTS - 1)
    finally:
        for stream in streams:
            stream.close()
    until(lambda: busy(engine) == 0)


def test_the_server_is_kept_full_and_nothing_waits_in_it(client, engine):
    seen, ended = [], threading.Event()

    def look():
        while not ended.is_set():
            seen.append((busy(engine), deferred(engine)))
            time.sleep(0.02)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(lambda _: chat(client, 300), range(24)))
    finally:
        ended.set()
        looking.join()
    assert {answer.usage.completion_tokens for answer in answers} == {300}
    assert max(running for running, _ in seen) == SLOTS
    assert max(waiting for _, waiting in seen) <= 1


def test_whoever_waits_goes_by_its_forecast(client, gateway, engine):
    def asking(tokens):
        return lambda: chat(client, tokens, forecast=tokens)

    wave = {f"long {i}": asking(300 + i) for i in range(3)} | {f"short {i}": asking(5 + i) for i in range(3)}

    def found():
        return order(
            [asking(LONG) for _ in range(SLOTS)],
            wave,
            running=lambda: busy(engine),
            waiting=lambda: gateway.sum("soonest_num_requests_waiting"),
        )

    assert goes_first("short", found)


def test_prompt_tokens_are_counted_as_the_server_counts_them(direct, engine):
    async def counted(body):
        async with opened() as client:
            return await Engine(engine, client, DIALECTS["llamacpp"]).tokenize(body)

    assert asyncio.run(counted({"messages": TURNS})) == chat(direct, 1).usage.prompt_tokens
    text = direct.completions.create(model="tiny", prompt="The ship", max_tokens=1)
    assert asyncio.run(counted({"prompt": "The ship"})) == text.usage.prompt_tokens


def test_without_metrics_the_slots_are_known_all_the_same(gguf, tmp_path):
    with (
        llama_server(gguf, tmp_path / "llama.log", metrics=False) as found,
        serving("--engine", found.url, "--journal", "none") as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=60) as client,
    ):
        assert gateway.sum("soonest_upstream_in_flight_limit") == SLOTS
        with ThreadPoolExecutor(12) as pool:
            assert len({answer.id for answer in pool.map(lambda _: chat(client, 50), range(12))}) == 12
        assert gateway.sum("soonest_upstream_up") == 1

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import openai
import pytest
from tests.engines.servers import serving
from tests.real.waves import goes_first, order

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
HELLO = [{"role": "user", "content": "one two three"}]
SLOTS = 4


@pytest.fixture(scope="module")
def server(model_folder):
    with serving(model_folder, "--slots", str(SLOTS)) as made:
        yield made


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0, timeout=60) as made:
        yield made


def chat(client, messages=HELLO, **more):
    return client.chat.completions.create(model="small", messages=messages, **{"max_tokens": 12, **more})


def complete(client, prompt="one two", **more):
    return client.completions.create(model="small", prompt=prompt, **{"max_tokens": 12, **more})


async def reaches(server, name, count):
    async with asyncio.timeout(30):
        while server.metric(name) < count:  # noqa: ASYNC110 - it is another process's number
            await asyncio.sleep(0.01)


def quiet(server, within=10.0):
    """Nothing waits and nothing runs, soon."""
    until = time.monotonic() + within
    while server.metric("num_requests_running") or server.metric("num_requests_waiting"):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_it_says_what_it_serves(server, client):
    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.list().data[0].max_model_len == 512
    assert httpx.get(f"{server}/health").status_code == 200
    assert httpx.get(f"{server}/version").json()["version"]


def test_a_streamed_answer_is_the_whole_answer(client):
    for more in ({}, {"temperature": 1.0, "seed": 3}, {"stop": ["e"]}, {"n": 3, "temperature": 1.0, "seed": 5}):
        whole = chat(client, **more)
        texts, ends, events = {}, {}, 0
        for event in chat(client, stream=True, stream_options={"include_usage": True}, **more):
            for choice in event.choices:
                texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
                ends[choice.index] = choice.finish_reason or ends.get(choice.index)
                events += choice.delta.role is None
            usage = event.usage
        assert texts == {choice.index: choice.message.content for choice in whole.choices}
        assert ends == {choice.index: choice.finish_reason for choice in whole.choices}
        assert usage == whole.usage
        assert events == usage.completion_tokens, "one event a token"


def test_a_streamed_completion_is_the_whole_completion(client):
    whole = complete(client, ["one two", "three"], n=2, temperature=1.0, seed=3)
    texts = ["", "", "", ""]
    for event in complete(client, ["one two", "three"], n=2, temperature=1.0, seed=3, stream=True):
        texts[event.choices[0].index] += event.choices[0].text
    assert texts == [choice.text for choice in whole.choices]
    assert whole.usage.completion_tokens == 4 * 12


def test_without_being_asked_a_stream_says_no_usage(client):
    assert all(event.usage is None and event.choices for event in chat(client, stream=True))


def test_token_ids_are_a_prompt_too(server, client):
    told = httpx.post(f"{server}/tokenize", json={"prompt": "one two"}).json()
    assert told["count"] == len(told["tokens"])
    assert told["max_model_len"] == 512
    assert complete(client, told["tokens"]).choices == complete(client, "one two").choices
    assert complete(client, [told["tokens"]]).usage.prompt_tokens == told["count"]
    assert httpx.post(f"{server}/detokenize", json={"tokens": told["tokens"]}).json() == {"prompt": "one two"}


def test_a_conversation_is_cut_as_it_is_answered(server, client):
    told = httpx.post(f"{server}/tokenize", json={"messages": HELLO}).json()
    assert told["count"] == chat(client).usage.prompt_tokens


def test_parts_of_text_are_read_as_text(client):
    parts = [{"type": "text", "text": "one two"}, {"type": "text", "text": "three"}]
    joined = [{"role": "user", "content": "one two\nthree"}]
    assert chat(client, [{"role": "user", "content": parts}]).choices == chat(client, joined).choices


def test_the_system_and_the_tools_reach_the_template(client):
    plain = chat(client).usage.prompt_tokens
    system = chat(client, [{"role": "system", "content": "tell me"}, *HELLO]).usage.prompt_tokens
    tools = chat(client, tools=[TOOL]).usage.prompt_tokens
    unused = chat(client, tools=[TOOL], tool_choice="none").usage.prompt_tokens
    assert plain == unused < min(system, tools)


def test_choices_with_a_seed_differ_and_come_again(client):
    def ask():
        return [c.message.content for c in chat(client, n=3, temperature=1.0, seed=11).choices]

    first = ask()
    assert len(set(first)) == 3
    assert ask() == first


def test_a_stop_string_ends_the_answer_before_it(server, client):
    whole = complete(client, max_tokens=40).choices[0].text
    stop = whole[5:8]
    cut = complete(client, max_tokens=40, stop=[stop])
    assert cut.choices[0].text == whole[: whole.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    assert cut.choices[0].stop_reason == stop
    kept = complete(client, max_tokens=40, stop=stop, extra_body={"include_stop_str_in_output": True})
    assert kept.choices[0].text == cut.choices[0].text + stop
    quiet(server)


def test_a_stop_token_ends_the_answer(client):
    ended = complete(client, logit_bias={"9": 100}, extra_body={"stop_token_ids": [9]})
    assert (ended.choices[0].finish_reason, ended.usage.completion_tokens) == ("stop", 1)
    assert ended.choices[0].stop_reason == 9


def test_the_end_token_ends_the_answer_unless_it_is_ignored(client):
    end = {"logit_bias": {"0": 100}}
    ended = complete(client, **end)
    assert (ended.choices[0].finish_reason, ended.usage.completion_tokens, ended.choices[0].text) == ("stop", 1, "")
    ignored = complete(client, **end, extra_body={"ignore_eos": True})
    assert (ignored.choices[0].finish_reason, ignored.usage.completion_tokens) == ("length", 12)
    least = complete(client, **end, extra_body={"min_tokens": 5})
    assert (least.choices[0].finish_reason, least.usage.completion_tokens) == ("stop", 6)


def test_a_chat_without_a_limit_goes_on_to_the_end_of_the_context(client):
    answer = client.chat.completions.create(model="small", messages=HELLO, extra_body={"ignore_eos": True})
    assert answer.usage.total_tokens == 512
    assert answer.choices[0].finish_reason == "length"


def test_a_completion_without_a_limit_has_sixteen_tokens(client):
    answer = client.completions.create(model="small", prompt="one", extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 16


def test_the_async_client_is_answered_too(server):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as client:
            answers = await asyncio.gather(*(chat(client) for _ in range(8)))
            said = ""
            async for event in await chat(client, stream=True):
                said += event.choices[0].delta.content or ""
            return said, {answer.choices[0].message.content for answer in answers}

    said, answers = asyncio.run(run())
    assert answers == {said}


def test_a_client_that_leaves_mid_stream_frees_its_place(server, client):
    streams = [chat(client, max_tokens=480, stream=True) for _ in range(SLOTS)]
    for stream in streams:
        next(iter(stream))
    for stream in streams:
        stream.close()
    said = server.metric("generation_tokens_total")
    chat(client, max_tokens=1)
    assert server.metric("generation_tokens_total") - said < SLOTS * 300
    quiet(server)


def test_a_client_that_leaves_before_its_turn_is_forgotten(server):
    async def run():
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            body = {"model": "small", "prompt": "one", "max_tokens": 450, "ignore_eos": True}
            asked = [asyncio.create_task(client.post("/v1/completions", json=body)) for _ in range(3 * SLOTS)]
            await reaches(server, "num_requests_waiting", 2 * SLOTS)
            for one in asked:
                one.cancel()
            await asyncio.wait(asked)

    asyncio.run(run())
    quiet(server)


def finishing_order(server, forecasts):
    """Which of several requests, sent while all places are taken, end first."""

    def asking(body):
        body = {"model": "small", "prompt": "one", "ignore_eos": True, **body}
        return lambda: httpx.post(f"{server}/v1/completions", json=body, timeout=60).raise_for_status()

    return order(
        [asking({"max_tokens": 450})] * SLOTS,
        {name: asking({"max_tokens": 60, **body}) for name, body in forecasts},
        running=lambda: server.metric("num_requests_running"),
        waiting=lambda: server.metric("num_requests_waiting"),
    )


def hint(n):
    return {"vllm_xargs": {"soonest_forecast": [n, n, n]}}


def test_hinted_short_requests_go_before_earlier_long_ones(server):
    longs = [(f"long{i}", hint(60)) for i in range(SLOTS)]
    shorts = [(f"short{i}", {**hint(4), "max_tokens": 4}) for i in range(SLOTS)]
    assert goes_first("short", lambda: finishing_order(server, longs + shorts))


def test_a_lower_priority_goes_first(server):
    late = [(f"late{i}", {"priority": 1}) for i in range(SLOTS)]
    early = [(f"early{i}", {"priority": -1}) for i in range(SLOTS)]
    assert goes_first("early", lambda: finishing_order(server, late + early))


@pytest.mark.parametrize("odd", [[3, 2, 1], [1, 2], "x", [1, None, 3], [float(10**300), 1, 2]])
def test_an_odd_hint_is_no_hint(client, odd):
    assert complete(client, extra_body={"vllm_xargs": {"soonest_forecast": odd}}).usage.completion_tokens == 12


def test_the_id_of_a_request_comes_back(server):
    body = {"model": "small", "prompt": "one", "max_tokens": 1}
    answer = httpx.post(f"{server}/v1/completions", json=body, headers={"X-Request-Id": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    assert answer.json()["id"] == "cmpl-mine"
    refused = httpx.post(f"{server}/v1/completions", json={"prompt": 3}, headers={"X-Request-Id": "mine"})
    assert (refused.status_code, refused.headers["x-request-id"]) == (400, "mine")
    assert httpx.get(f"{server}/nowhere", headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"


def test_two_requests_may_have_one_id(server):
    body = {"model": "small", "prompt": "one", "max_tokens": 50, "ignore_eos": True}
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(httpx.post, f"{server}/v1/completions", json=body, headers={"X-Request-Id": "mine"})
            for _ in range(4)
        ]
        assert {answer.result().status_code for answer in asked} == {200}

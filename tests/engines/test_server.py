import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import openai
import pytest

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
HELLO = [{"role": "user", "content": "one two three"}]
SLOTS = 4


@pytest.fixture(scope="module")
def server(model_folder, serving):
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


def metric(server, name):
    text = httpx.get(f"{server}/metrics").text
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"soonest_engine_{name}{{")))


async def reaches(server, name, count):
    while metric(server, name) < count:  # noqa: ASYNC110 - it is another process's number
        await asyncio.sleep(0.01)


def quiet(server, within=5.0):
    """Nothing waits and nothing runs, soon."""
    until = time.monotonic() + within
    while metric(server, "num_requests_running") or metric(server, "num_requests_waiting"):
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
    began = time.monotonic()
    chat(client, max_tokens=1)
    assert time.monotonic() - began < 1
    quiet(server)


def test_a_client_that_leaves_before_its_turn_is_forgotten(server):
    async def run():
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            body = {"model": "small", "prompt": "one", "max_tokens": 300, "ignore_eos": True}
            asked = [asyncio.create_task(client.post("/v1/completions", json=body)) for _ in range(3 * SLOTS)]
            await reaches(server, "num_requests_waiting", 2 * SLOTS)
            for one in asked:
                one.cancel()
            await asyncio.wait(asked)

    asyncio.run(run())
    quiet(server, within=2)


def finishing_order(server, forecasts):
    """Which of several requests, sent while all places are taken, end first."""
    ended = []

    async def one(client, name, body):
        await client.post("/v1/completions", json={"model": "small", "prompt": "one", "ignore_eos": True, **body})
        ended.append(name)

    async def run():
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            first = [asyncio.create_task(one(client, None, {"max_tokens": 150})) for _ in range(SLOTS)]
            await reaches(server, "num_requests_running", SLOTS)
            rest = []
            for name, body in forecasts:
                rest.append(asyncio.create_task(one(client, name, {"max_tokens": 60, **body})))
                await asyncio.sleep(0.02)
            await asyncio.gather(*first, *rest)

    asyncio.run(run())
    return [name for name in ended if name is not None]


def hint(n):
    return {"vllm_xargs": {"soonest_forecast": [n, n, n]}}


def test_hinted_short_requests_go_before_earlier_long_ones(server):
    longs = [(f"long{i}", hint(60)) for i in range(SLOTS)]
    shorts = [(f"short{i}", {**hint(4), "max_tokens": 4}) for i in range(SLOTS)]
    assert set(finishing_order(server, longs + shorts)[:SLOTS]) == {name for name, _ in shorts}


def test_a_lower_priority_goes_first(server):
    late = [(f"late{i}", {"priority": 1}) for i in range(SLOTS)]
    early = [(f"early{i}", {"priority": -1}) for i in range(SLOTS)]
    assert set(finishing_order(server, late + early)[:SLOTS]) == {name for name, _ in early}


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


WRONG = {
    "temperature": -1,
    "top_p": 2,
    "top_k": -2,
    "max_tokens": 0,
    "n": 0,
    "stop": [""],
    "seed": "x",
    "stream": "yes",
    "logprobs": 3,
    "echo": True,
    "best_of": 5,
    "logit_bias": {"99999": 1},
    "stop_token_ids": [99999],
    "presence_penalty": 3,
    "priority": 1.5,
    "response_format": {"type": "json_object"},
    "stream_options": 1,
    "prompt": {"a": 1},
    "min_tokens": -1,
}


@pytest.mark.parametrize("field", WRONG)
def test_a_field_that_cannot_be_honoured_is_named(server, field):
    body = {"model": "small", "prompt": "one", field: WRONG[field]}
    answer = httpx.post(f"{server}/v1/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (400, 400, "BadRequestError")
    assert error["param"] == field
    assert field.split("_", maxsplit=1)[0] in error["message"]


@pytest.mark.parametrize(
    "messages",
    [None, [], "hello", [3], [{"content": "x"}], [{"role": "user", "content": [{"type": "image_url"}]}],
     [{"role": "user", "content": 3}]],
)  # fmt: skip
def test_odd_messages_are_refused(server, messages):
    answer = httpx.post(f"{server}/v1/chat/completions", json={"model": "small", "messages": messages})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("messages")


def test_a_forced_tool_call_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="tool_choice"):
        chat(client, tools=[TOOL], tool_choice="required")


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.completions.create(model="large", prompt="one")


def test_a_context_that_is_too_long_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="maximum context length is 512 tokens"):
        complete(client, max_tokens=512)
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        complete(client, "one two three " * 400)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"3", b"[" * 100_000])
def test_what_is_no_object_is_refused(server, body):
    answer = httpx.post(f"{server}/v1/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 400)


def test_a_body_that_is_too_large_is_refused(server):
    answer = httpx.post(f"{server}/v1/completions", content=b'{"prompt": "' + b"x" * (9 << 20) + b'"}')
    assert answer.status_code == 413


def test_what_is_not_there_is_told_as_an_openai_error(server):
    assert httpx.get(f"{server}/v1/nothing").json()["error"]["code"] == 404
    assert httpx.get(f"{server}/v1/completions").json()["error"]["code"] == 405


def test_no_prompt_is_written_down(model_folder, serving, capfd):
    with serving(model_folder, "--log-level", "debug") as made:
        body = {"model": "small", "prompt": "secretword", "max_tokens": 3}
        httpx.post(f"{made}/v1/completions", json=body)
        httpx.post(f"{made}/v1/completions", json={**body, "temperature": "secretword"})
    said = capfd.readouterr()
    assert "secretword" not in said.out + said.err


def test_a_signal_lets_what_runs_end_and_takes_nothing_new(model_folder, serving):
    with serving(model_folder) as made, httpx.Client(base_url=made.url, timeout=60) as client:
        body = {"model": "small", "prompt": "one", "max_tokens": 400, "stream": True, "ignore_eos": True}
        with client.stream("POST", "/v1/completions", json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            made.process.terminate()
            time.sleep(0.2)
            with httpx.Client(base_url=made.url) as other:
                refused = other.post("/v1/completions", json={"prompt": "one"})
                assert refused.status_code == 503
                assert refused.json()["error"]["type"] == "ServiceUnavailableError"
                assert other.get("/health").status_code == 503
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert json.loads(rest[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
        assert made.process.wait(10) == 0


def test_an_engine_that_dies_takes_its_process_with_it(model_folder, serving, tmp_path):
    """So that whoever watches the process can start it again."""
    (tmp_path / "sitecustomize.py").write_text(
        "from soonest.engines.embedded.scheduler import QueueScheduler\n"
        "def broken(self, *_):\n"
        "    raise RuntimeError('no memory')\n"
        "QueueScheduler.schedule_batch = broken\n"
    )
    with serving(model_folder, status=1, path=tmp_path) as made:
        answer = httpx.post(f"{made}/v1/completions", json={"prompt": "one"})
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == "the engine failed this request: no memory"
        made.process.wait(10)

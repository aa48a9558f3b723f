import httpx2 as httpx
import openai
import pytest
from tests.engines.servers import serving

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
HELLO = [{"role": "user", "content": "one two three"}]
TAKEN = [
    "conversation", "chat_template", "tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict",
    "return_assistant_tokens_mask", "tokenizer_kwargs", "sanitize_control_tokens",
]  # fmt: skip
"""What the tokenizer takes for itself; the others reach the template."""


@pytest.fixture(scope="module")
def server(model_folder):
    with serving(model_folder) as made:
        yield made


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0, timeout=60) as made:
        yield made


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


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
@pytest.mark.parametrize("name", TAKEN)
def test_what_a_template_is_filled_in_by_is_no_variable_of_it(server, path, name):
    """A prompt that is padded to any length takes as much memory."""
    asked = {"model": "small", "messages": HELLO, "chat_template_kwargs": {name: "max_length"}}
    answer = httpx.post(f"{server}{path}", json=asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "chat_template_kwargs")


def test_a_forced_tool_call_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="tool_choice"):
        client.chat.completions.create(model="small", messages=HELLO, tools=[TOOL], tool_choice="required")


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.completions.create(model="large", prompt="one")


def test_a_context_that_is_too_long_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="maximum context length is 512 tokens"):
        client.completions.create(model="small", prompt="one", max_tokens=512)
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        client.completions.create(model="small", prompt="one two three " * 400)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"3", b"[" * 100_000])
def test_what_is_no_object_is_refused(server, body):
    answer = httpx.post(f"{server}/v1/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 400)


def test_text_that_is_none_is_refused(server):
    answer = httpx.post(f"{server}/v1/completions", content=b'{"prompt": "\\ud800"}')
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")


@pytest.mark.parametrize("key", ["9" * 5000, "\u0663", "-1", ""])
def test_a_biased_token_that_is_no_number_is_refused(server, key):
    answer = httpx.post(f"{server}/v1/completions", json={"prompt": "one", "logit_bias": {key: 1}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "logit_bias")


def test_one_request_makes_a_bounded_number_of_answers(server):
    body = {"prompt": ["one"] * 3, "n": 128, "max_tokens": 1}
    answer = httpx.post(f"{server}/v1/completions", json=body, timeout=60)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n")


def test_a_body_that_is_too_large_is_refused(server):
    answer = httpx.post(f"{server}/v1/completions", content=b'{"prompt": "' + b"x" * (9 << 20) + b'"}')
    assert answer.status_code == 413


def test_what_is_not_there_is_told_as_an_openai_error(server):
    assert httpx.get(f"{server}/v1/nothing").json()["error"]["code"] == 404
    assert httpx.get(f"{server}/v1/completions").json()["error"]["code"] == 405

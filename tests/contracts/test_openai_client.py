"""The official client gets the same from an engine and through the gateway: a fake engine, and a real one."""

import asyncio
import threading
import time
import urllib.request

import openai
import pytest
from tests.engines.servers import serving as real_engine
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import until
from tests.gateway.process.served import serving
from tests.gateway.running import running

from soonest.engines.tiny import path

pytestmark = pytest.mark.slow
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
ASKED = {
    "plain": {},
    "several": {"n": 2},
    "cut": {"max_tokens": 3},
    "stopped": {"stop": ["e"], "max_completion_tokens": 20},
    "tools": {"tools": [TOOL], "tool_choice": "auto"},
    "drawn": {"temperature": 1.0, "seed": 7, "top_p": 0.9, "extra_body": {"min_tokens": 2}},
}


class Pair:
    """An engine and a gateway before it, and clients of both."""

    def __init__(self, engine, gateway, model):
        self.engine, self.gateway, self.model = engine, gateway, model
        self.direct, self.through = (
            openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
            for url in (engine, gateway.url)
        )

    def both(self, ask):
        """What the engine said, and what the gateway did."""
        return [ask(client) for client in (self.direct, self.through)]

    def running(self):
        """How many the engine runs."""
        names = ("vllm:num_requests_running", "soonest_engine_num_requests_running")
        with urllib.request.urlopen(f"{self.engine}/metrics", timeout=10) as page:  # noqa: S310 - our own
            text = page.read().decode()
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(names))


@pytest.fixture(scope="module")
def engines():
    with fake_engine(slots=4, step_ms=2) as fake, real_engine(path(), "--slots", "4") as real:
        yield {"fake": (fake.url, "fake"), "real": (real.url, "small")}


@pytest.fixture(scope="module", params=["fake", "real"])
def pair(request, engines):
    url, model = engines[request.param]
    with serving("--engine", url, "--journal", "none", "--policy", "shortest") as gateway:
        made = Pair(url, gateway, model)
        yield made
        made.direct.close()
        made.through.close()


def ask(pair, text="tokens=12", **more):
    """A question to a client; an answer of 12 tokens at most."""
    body = {"model": pair.model, "messages": [{"role": "user", "content": text}], "temperature": 0.0, **more}
    if not body.keys() & {"max_tokens", "max_completion_tokens"}:
        body["max_tokens"] = 12
    return lambda client: client.chat.completions.create(**body)


def said(answer):
    """What does not differ from one time to the next."""
    return [(c.index, c.message.role, c.message.content, c.finish_reason) for c in answer.choices], answer.usage


def put_together(stream):
    """The same, of a stream."""
    texts, ends, usage = {}, {}, None
    with stream:
        for event in stream:
            for choice in event.choices:
                texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
                ends[choice.index] = choice.finish_reason or ends.get(choice.index)
            usage = event.usage or usage
    return [(i, "assistant", texts[i], ends[i]) for i in sorted(texts)], usage


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_an_answer_is_the_same_whole_or_in_pieces_with_or_without_the_gateway(pair, asked):
    direct, through = pair.both(ask(pair, **asked))
    assert said(through) == said(direct)
    assert through.usage.completion_tokens >= 1
    streamed = pair.both(ask(pair, stream=True, stream_options={"include_usage": True}, **asked))
    assert [put_together(stream) for stream in streamed] == [said(direct)] * 2


def test_usage_is_told_only_to_those_who_ask(pair):
    for stream in pair.both(ask(pair, stream=True)):
        with stream:
            events = list(stream)
        assert all(event.choices and event.usage is None for event in events)


def test_a_completion_is_the_same(pair):
    def complete(client, **more):
        return client.completions.create(model=pair.model, prompt="one tokens=9", max_tokens=9, temperature=0, **more)

    direct, through = pair.both(complete)
    assert (through.choices, through.usage) == (direct.choices, direct.usage)
    for client in (pair.direct, pair.through):
        with complete(client, stream=True) as stream:
            assert "".join(event.choices[0].text for event in stream) == direct.choices[0].text


def test_what_is_not_scheduled_is_the_same(pair):
    direct, through = pair.both(lambda client: client.models.list())
    assert [model.id for model in through.data] == [model.id for model in direct.data] == [pair.model]


def test_many_at_once_get_what_one_gets(pair):
    texts = [f"tokens={n}" for n in range(1, 11)]
    alone = [said(ask(pair, text)(pair.direct)) for text in texts]

    async def main():
        async with openai.AsyncOpenAI(base_url=f"{pair.gateway.url}/v1", api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(ask(pair, text)(client) for text in texts))

    assert [said(answer) for answer in asyncio.run(main())] == alone


def test_an_async_stream_gives_the_same(pair):
    alone = said(ask(pair)(pair.direct))

    async def main():
        async with (
            openai.AsyncOpenAI(base_url=f"{pair.gateway.url}/v1", api_key="none", max_retries=0) as client,
            await ask(pair, stream=True)(client) as stream,
        ):
            return [event.choices[0].delta.content or "" async for event in stream]

    assert "".join(asyncio.run(main())) == alone[0][0][2]


@pytest.mark.parametrize("way", ["direct", "through"])
def test_a_stream_that_is_left_ends_at_the_engine_too(pair, way):
    long = {"max_tokens": 400, "extra_body": {"ignore_eos": True, "min_tokens": 400}}
    with ask(pair, "tokens=400", stream=True, **long)(getattr(pair, way)) as stream:
        for _ in zip(range(4), stream, strict=False):
            pass
        assert pair.running() == 1
    until(lambda: pair.running() == 0)
    until(pair.gateway.idle)
    assert ask(pair)(pair.through).choices


ERRORS = {
    openai.BadRequestError: {"messages": []},
    openai.NotFoundError: {"model": "none"},
}


@pytest.mark.parametrize(("kind", "odd"), ERRORS.items(), ids=[kind.__name__ for kind in ERRORS])
def test_errors_are_the_engine_s_own(pair, kind, odd):
    if pair.model == "fake" and "model" in odd:
        odd = {"messages": [{"role": "user", "content": "fault=status:404"}]}
    body = {"model": pair.model, "messages": [{"role": "user", "content": "x"}], **odd}
    told = []
    for client in (pair.direct, pair.through):
        with pytest.raises(kind) as error:
            client.chat.completions.create(**body)
        told.append((error.value.message, error.value.body, error.value.status_code))
    assert told[0] == told[1]


FAULTS = {
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    401: openai.AuthenticationError,
    422: openai.UnprocessableEntityError,
    503: openai.InternalServerError,
}


@pytest.fixture
def fake():
    with fake_engine(slots=1, step_ms=2) as made:
        yield made


def client_of(url, **more):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", **{"max_retries": 0, "timeout": 30, **more})


def chat(client, text, **more):
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **more)


@pytest.mark.parametrize(("status", "kind"), FAULTS.items(), ids=FAULTS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_refuses_raises_what_it_raises_without_us(fake, status, kind, stream):
    with running(fake.url) as gateway:
        for url in (fake.url, gateway.url):
            with client_of(url) as client, pytest.raises(kind, match="as asked") as error:
                chat(client, f"fault=status:{status},retry:3", stream=stream)
            assert error.value.response.headers["retry-after"] == "3"


def test_an_error_within_a_stream_is_raised_after_what_was_said(fake):
    with running(fake.url) as gateway:
        for url in (fake.url, gateway.url):
            heard = []
            with (
                client_of(url) as client,
                chat(client, "tokens=20 fault=error:4", stream=True) as stream,
                pytest.raises(openai.APIError, match="as asked"),
            ):
                heard.extend(stream)
            assert len(heard) == 4


def test_an_engine_that_dies_in_a_stream_is_an_api_error(fake):
    heard = []
    with (
        running(fake.url) as gateway,
        client_of(gateway.url) as client,
        chat(client, "tokens=20 fault=die:5", stream=True) as stream,
        pytest.raises(openai.APIError, match="broke off"),
    ):
        heard.extend(stream)
    assert 3 <= len(heard) <= 5


def test_a_client_that_is_told_the_queue_is_full_comes_again_when_we_said(fake):
    with running(fake.url, in_flight=1, most_waiting=1) as gateway, client_of(gateway.url, max_retries=3) as client:
        blocker = chat(client, "tokens=100 fault=hang:3", stream=True)
        waiting = threading.Thread(target=chat, args=(client, "tokens=1"))
        waiting.start()
        until(lambda: gateway.call(lambda: len(gateway.gateway.dispatcher.queue)) == 1)
        with client_of(gateway.url) as once, pytest.raises(openai.RateLimitError, match="queue is full") as full:
            chat(once, "tokens=1")
        told = int(full.value.response.headers["retry-after-ms"]) / 1000
        assert 1 <= told <= 5.12, "two of 128 tokens at 20 ms are what a new gateway expects"
        started = time.monotonic()
        leaving = threading.Timer(1.0, blocker.close)
        leaving.start()
        assert chat(client, "tokens=1").choices
        assert told <= time.monotonic() - started < 3 * told + 10
        waiting.join(10)
        leaving.join()
        until(gateway.idle)


def test_a_client_that_is_told_no_engine_answers_comes_again_when_one_does(fake):
    with running(fake.url) as gateway, client_of(gateway.url, max_retries=5) as client:
        fake.down()
        until(lambda: not gateway.call(lambda: gateway.gateway.up))
        with client_of(gateway.url) as once, pytest.raises(openai.InternalServerError, match="no engine") as down:
            chat(once, "tokens=1")
        assert int(down.value.response.headers["retry-after"]) >= 1
        started = time.monotonic()
        returning = threading.Timer(1.0, fake.up)
        returning.start()
        assert chat(client, "tokens=1").choices
        assert time.monotonic() - started >= 1
        returning.join()

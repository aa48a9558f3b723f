"""An engine is known, watched, taken out when it fails and taken back."""

import asyncio
import hashlib

import pytest
from tests.gateway.upstream.talk import (
    HEADERS,
    answered,
    body,
    canned,
    looking,
    opened,
    read_request,
    reply,
    server,
    talk,
    until,
)

from soonest.gateway.backend import Backend
from soonest.gateway.upstream import DIALECTS, Breaker, Engine, EngineError, EngineState

PAGES = {"data": [{"id": "m", "owned_by": "somebody"}]}
LONG = b'{"prompt":"tokens=99999","stream":true}'
GOOD_METRICS = "sglang:num_queue_reqs 1\nsglang:num_running_reqs 2\n"


def looked(routes, *, asked=None, key="", dialect=None):
    """An engine after its first look at a server that answers so."""

    async def run():
        async with canned(routes, asked) as url, opened() as client:
            engine = Engine(url, client, dialect, key=key)
            await engine.look()
            return engine

    return asyncio.run(run())


@pytest.mark.parametrize("owner", ["vllm", "sglang", "llamacpp", "soonest"])
def test_an_engine_is_known_by_its_models_owner(owner):
    assert looked({"/v1/models": {"data": [{"owned_by": owner}]}}).dialect is DIALECTS[owner]


@pytest.mark.parametrize(("owner", "named"), [("vllm", b"ours"), ("me", None)])
def test_a_server_that_refuses_names_is_told_none(owner, named):
    asked = []

    async def run():
        async with canned({"/v1/models": {"data": [{"owned_by": owner}]}, "/x": {}}, asked) as url, opened() as client:
            engine = Engine(url, client)
            await engine.look()
            (await engine.request("POST", "/x", [(b"x-request-id", b"theirs")], b"{}", request_id="ours")).release()

    asyncio.run(run())
    lines = asked[-1][2].lower().split(b"\r\n")
    assert [line.partition(b": ")[2] for line in lines if line.startswith(b"x-request-id")] == [named] * bool(named)


def test_a_server_that_ends_an_answer_for_the_next_request_is_not_asked_again_what_would_be_one():
    asked = []

    async def run():
        async with canned({"/v1/models": {"data": [{"id": "m", "owned_by": "me"}]}}, asked) as url, opened() as client:
            backend = Backend(Engine(url, client), None, learns=True, reserves=False)
            for _ in range(3):
                await backend.look(held_back=True)
            return backend

    backend = asyncio.run(run())
    assert backend.engine.dialect is DIALECTS["llamacpp-python"]
    assert (backend.place.limit, backend.engine.breaker.missed) == (1, 0)
    assert [path for path, _, _ in asked] == ["/v1/models", "/health", "/health", "/health"]


@pytest.mark.parametrize(
    ("metrics", "props", "state"),
    [
        (
            "llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\n",
            {"total_slots": 4},
            EngineState(1, 2, slots=4),
        ),
        (501, {"total_slots": 4}, EngineState(slots=4)),
        ("llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\n", {"role": "router"}, EngineState(1, 2)),
        (501, {"total_slots": "many"}, None),
        (501, 404, None),
    ],
)
def test_llama_cpp_tells_its_slots_beside_its_metrics(metrics, props, state):
    routes = {"/v1/models": {"data": [{"owned_by": "llamacpp"}]}, "/metrics": metrics, "/props": props, "/health": "ok"}
    engine = looked(routes)
    assert (engine.last, engine.breaker.missed) == (state, 0)


def test_an_engine_is_known_by_its_metrics():
    engine = looked({"/v1/models": PAGES, "/metrics": GOOD_METRICS})
    assert (engine.dialect.name, engine.last) == ("sglang", EngineState(1, 2))


@pytest.mark.parametrize("models", [PAGES, {"data": []}, {"data": [3]}, [], "<html>", 401, 404])
def test_anything_else_is_openais_and_well(models):
    engine = looked({"/v1/models": models})
    assert engine.dialect is DIALECTS["openai"]
    assert (engine.last, engine.breaker.missed) == (None, 0)


def test_what_one_is_told_is_not_asked():
    asked = []
    assert looked({"/metrics": GOOD_METRICS}, asked=asked, dialect=DIALECTS["sglang"]).last == EngineState(1, 2)
    assert [path for path, _, _ in asked] == ["/metrics"]


def test_our_own_questions_carry_the_key():
    asked = []
    looked({"/v1/models": PAGES}, asked=asked, key="k1")
    assert all(b"authorization: Bearer k1\r\n" in head for _, _, head in asked)


def test_a_silent_engine_is_known_when_it_speaks():
    async def conversation(engine, fake):
        fake.down()
        await engine.look()
        first = engine.dialect.name
        fake.up()
        await engine.look()
        return first, engine.dialect.name

    assert talk(conversation) == ("openai", "vllm")


def test_its_state_is_read_again_and_again():
    async def conversation(engine, _):
        await engine.look()
        before = engine.last
        async with looking(engine):
            response = await engine.request("POST", "/v1/completions", HEADERS, LONG)
            await until(lambda: engine.last.running == 1)
            response.close()
            await until(lambda: engine.last.running == 0)
        return before

    assert talk(conversation, step_ms=1, slots=1) == EngineState(0, 0, 0.0, 1024, 16)


def test_an_engine_that_vanishes_is_taken_out_and_taken_back():
    async def conversation(engine, fake):
        engine.breaker = Breaker(limit=2, first=0.02)
        async with looking(engine):
            fake.down()
            await until(lambda: not engine.healthy)
            fake.up()
            await until(lambda: engine.healthy)
        return (await answered(engine))[0].status

    assert talk(conversation) == 200


def test_looks_that_fail_now_and_then_leave_it_in_and_looks_that_are_well_forgive_no_request():
    async def conversation(engine, fake):
        for _ in range(5):
            for fault in ("status:503", "status:503", ""):
                fake.fault = fault
                await engine.look()
            assert (engine.healthy, engine.breaker.missed) == (True, 0)
        for fault in ("status:503", "", "status:503", "", "status:503"):
            assert engine.healthy
            fake.fault = fault
            await (answered(engine) if fault else engine.look())
        return engine.healthy

    assert not talk(conversation)


@pytest.mark.parametrize("fault", ["refuse", "status:503"])
def test_requests_that_fail_take_it_out_and_a_probe_takes_it_back(fault):
    async def conversation(engine, fake):
        engine.breaker = Breaker(limit=3, first=0.05)
        await engine.look()  # nothing but requests, for now
        fake.fault = fault
        for _ in range(3):
            assert engine.healthy
            if fault == "refuse":
                with pytest.raises(EngineError):
                    await answered(engine)
            else:
                await answered(engine)
        assert not engine.healthy
        async with looking(engine):
            await asyncio.sleep(0.2)
            assert not engine.healthy
            fake.fault = ""
            await until(lambda: engine.healthy)

    talk(conversation)


def test_errors_of_requests_leave_it_in():
    async def conversation(engine, fake):
        for status in (400, 401, 404, 429, 500, 503, 200, 503, 503, 400):
            fake.fault = f"status:{status}"
            await answered(engine)
        return engine.healthy

    assert talk(conversation)


def test_a_cancelled_request_is_no_failure():
    async def conversation(engine, fake):
        fake.fault = "hang"
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answered(engine), 0.02)
        return engine.breaker.failures

    assert talk(conversation) == 0


@pytest.mark.parametrize("asked", [{"prompt": "one two three"}, {"messages": [{"role": "user", "content": "a b"}]}])
def test_tokens_are_counted_as_the_engine_counts_them(asked):
    async def conversation(engine, _):
        await engine.look()
        return await engine.tokenize({**asked, "model": "fake", "temperature": 1})

    assert talk(conversation) == (3 if "prompt" in asked else 5)


def test_llama_cpp_makes_a_prompt_of_messages_first():
    async def run():
        asked = []
        routes = {"/apply-template": {"prompt": "<user>hi"}, "/tokenize": {"tokens": [1, 2, 3]}}
        async with canned(routes, asked) as url, opened() as client:
            engine = Engine(url, client, DIALECTS["llamacpp"])
            return await engine.tokenize({"messages": [{"content": "hi"}]}), asked

    count, asked = asyncio.run(run())
    assert count == 3
    assert asked[1][1] == {"content": "<user>hi", "add_special": True}


def test_both_questions_to_llama_cpp_share_the_time():
    async def handle(reader, writer):
        while True:
            await read_request(reader)
            await asyncio.sleep(0.3)
            writer.write(reply(b'{"prompt":"x","tokens":[1]}'))

    async def run():
        async with server(handle) as url, opened() as client:
            engine = Engine(url, client, DIALECTS["llamacpp"])
            return [await engine.tokenize({"messages": [{"content": "hi"}]}, timeout=t) for t in (0.5, 2.0)]

    assert asyncio.run(run()) == [None, 1]


@pytest.mark.parametrize("count", [-1, 1 << 41, True, 2.0])
def test_a_count_that_is_none_is_not_told(count):
    async def run():
        async with canned({"/tokenize": {"count": count}}) as url, opened() as client:
            return await Engine(url, client, DIALECTS["vllm"]).tokenize({"prompt": "x"})

    assert asyncio.run(run()) is None


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("openai", {"prompt": "x"}),
        ("vllm", {}),
        ("vllm", {"prompt": ["a", "b"]}),
        ("vllm", {"prompt": "\ud800"}),
        ("sglang", {"messages": [{"content": "x"}]}),
        ("llamacpp", {"messages": [{"content": "x"}]}),
        ("vllm", {"prompt": "x"}),
    ],
)
def test_tokens_that_nobody_counts_are_not_told(name, asked):
    async def run():
        async with canned({"/tokenize": {"count": "three"}}) as url, opened() as client:
            return await Engine(url, client, DIALECTS[name]).tokenize(asked)

    assert asyncio.run(run()) is None


def test_counting_has_a_time_limit():
    async def conversation(engine, fake):
        engine.dialect = DIALECTS["vllm"]
        fake.fault = "hang"
        return await engine.tokenize({"prompt": "x"}, timeout=0.05)

    assert talk(conversation) is None


def test_a_body_with_a_stream_is_forwarded_byte_for_byte():
    async def conversation(engine, fake):
        raw = body("tokens=2", stream=True, n=1).replace(b"1", b"1.0") + b" \n"
        await answered(engine, raw=raw)
        return hashlib.sha256(raw).hexdigest(), fake.seen()["last"]["sha256"]

    sent, got = talk(conversation)
    assert sent == got

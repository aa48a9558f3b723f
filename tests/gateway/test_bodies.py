"""What the engine gets is what the client sent, but for the members that are added."""

import asyncio
import hashlib
import json

import aiohttp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import CHAT, ask
from tests.gateway.running import running

from soonest.core import Forecast
from soonest.predict import Predictor

USAGE = b'"stream_options":{"include_usage":true}'
HINT = b'"vllm_xargs":{"soonest_forecast":[2,5.0,9]}'
SPACE = st.text(" \t\n\r", max_size=2)
NUMBERS = st.sampled_from(["0", "-0", "1.50", "1E+2", "12345678901234567890123", "0.1e-7", "-0.0"])
STRINGS = st.sampled_from(['""', '"a"', '"\\u0061"', '"\\ud83d\\ude00"', '"\\/"', '"é"', '"}{]["', '"data: [DONE]"'])
NAMES = st.sampled_from(['"x"', '"a b"', '"\\u0078"', '"logit_bias"', '"X"', '"seed\\n"', '""'])
SPLITS = ("split:1", "split:2", "split:3", "split:7", "split:64", "split:1000", "split:5,crlf")


class Known(Predictor):
    """Says the same of every prompt."""

    name = "known"
    quick = True

    def predict(self, prompts):
        return [Forecast.hint(2, 5, 9)] * len(prompts)


def written(value, draw):
    """A value as somebody else's library writes it."""
    if isinstance(value, list):
        return "[" + ",".join(f"{draw(SPACE)}{written(one, draw)}{draw(SPACE)}" for one in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{draw(SPACE)}{name}{draw(SPACE)}:{draw(SPACE)}{written(one, draw)}" for name, one in value.items())
        return "{" + ",".join(pairs) + "}"
    return value


VALUES = st.recursive(
    NUMBERS | STRINGS | st.sampled_from(["true", "false", "null"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def bodies(draw):
    """Bytes of a body, with odd spelling and duplicate keys, and whether it asks for a stream."""
    stream = draw(st.booleans())
    turn = {'"role"': '"user"', '"content"': f'"tokens={draw(st.integers(1, 12))}"'}
    members = [('"messages"', [turn]), ('"model"', '"m"')]
    if stream:
        members.append((draw(st.sampled_from(['"stream"', '"str\\u0065am"'])), "true"))
    members += draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    members = draw(st.permutations(members))
    space = lambda: draw(SPACE)  # noqa: E731 - a word
    inner = ",".join(f"{space()}{name}{space()}:{space()}{written(value, draw)}{space()}" for name, value in members)
    return f"{space()}{{{inner}}}{space()}".encode(), stream


def test_the_engine_gets_the_client_s_bytes_and_the_added_members_alone():
    parts = {"predictor": Known()}
    with fake_engine() as fake, running(fake.url) as plain, running(fake.url, parts=parts) as knowing:
        with asyncio.Runner() as runner:
            session = runner.run(opened())

            @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
            @given(bodies())
            def law(asked):
                raw, stream = asked
                assert runner.run(ask(session, plain.url, raw))[0] == 200
                assert got(fake) == digest(with_members(raw, [USAGE] if stream else []))
                assert runner.run(ask(session, knowing.url, raw))[0] == 200
                assert got(fake) == digest(with_members(raw, [USAGE, HINT] if stream else [HINT]))

            law()
            runner.run(session.close())
        assert plain.idle()
        assert knowing.idle()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_members_are_added_at_the_end(data):
    raw, _ = data.draw(bodies())
    added = json.loads(with_members(raw, [USAGE, HINT]))
    assert added == json.loads(raw) | {"stream_options": {"include_usage": True}} | json.loads(b"{" + HINT + b"}")


async def opened():
    return aiohttp.ClientSession()


def with_members(raw, members):
    """The bytes with these members before the last brace; the only thing that may differ."""
    end = raw.rstrip(b" \t\n\r").rindex(b"}")
    return raw[:end] + b"".join(b"," + member for member in members) + raw[end:]


def digest(raw):
    return hashlib.sha256(raw).hexdigest()


def got(fake):
    return fake.engine.bodies[-1]


def test_a_stream_is_the_same_however_it_is_cut_on_the_way():
    with fake_engine() as fake, running(fake.url) as gateway, asyncio.Runner() as runner:
        session = runner.run(opened())

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.sampled_from(SPLITS), st.integers(1, 25), st.integers(1, 3), st.booleans(), st.booleans())
        def law(split, tokens, n, usage, completions):
            words = f"tokens={tokens} fault={split}"
            said = {"prompt": words} if completions else {"messages": [{"role": "user", "content": words}]}
            body = {**said, "stream": True, "n": n, **({"stream_options": {"include_usage": True}} if usage else {})}
            path = "/v1/completions" if completions else CHAT
            direct, through = (runner.run(ask(session, url, body, path))[2] for url in (fake.url, gateway.url))
            assert without_ids(through) == without_ids(direct)

        law()
        runner.run(session.close())
        assert gateway.idle()


def without_ids(raw):
    """Every answer has an id of its own, of one length."""
    cut = raw.split(b'"id":"')
    return [cut[0], *(part.partition(b'"')[2] for part in cut[1:])]

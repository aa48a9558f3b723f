"""The front end by itself: its start, a predictor that is late, and what is added to a body."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from soonest.core import Forecast, Prompt
from soonest.engines.vllm.front_end import FrontEnd, bodies
from soonest.predict import Forecasting, Predictor


@pytest.fixture
def front():
    """A front end; it registers its metrics once a process, as in production."""
    before = set(REGISTRY._collector_to_names)
    yield FrontEnd(app=None)
    for ours in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(ours)


def said(front, scope):
    """What it sends."""
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(front(scope, None, send))
    return sent


@pytest.mark.parametrize(
    ("option", "holds", "message"),
    [
        ("PREDICTOR", None, "PredictorError: .*"),
        ("PREDICTOR", "README.md", "PredictorError: .*config.json"),
        ("PREDICTR", None, "PolicyError: no option 'predictr'"),
    ],
)
def test_what_cannot_be_fails_the_start(front, tmp_path, monkeypatch, option, holds, message):
    folder = tmp_path / "forecasts"
    if holds:
        folder.mkdir()
        (folder / holds).write_text("{}")
    monkeypatch.setenv(f"SOONEST_VLLM_{option}", str(folder))
    (failed,) = said(front, {"type": "lifespan"})
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].startswith(message.partition(".*")[0])
    assert (str(folder) in failed["message"]) is (option == "PREDICTOR")
    with pytest.raises(Exception, match=message.partition(": ")[2] or None):
        said(front, {"type": "http", "method": "POST", "path": "/v1/completions"})


SLOW = 3.0


class Slow(Predictor):
    """Takes longer than it may."""

    name = "slow"

    def predict(self, prompts):
        time.sleep(SLOW)
        return [Forecast.exact(9)] * len(prompts)


@pytest.mark.parametrize(("budget", "hint", "outcome"), [(0.01, None, "timeout"), (30, [9, 9, 9], "made")])
def test_a_late_forecast_is_none_and_counted(front, budget, hint, outcome):
    forecasting = Forecasting(Slow(), budget)
    assert asyncio.run(front._forecast(forecasting, Prompt.of("anything"))) == hint
    forecasting.close()
    counted = {s.labels["outcome"]: s.value for s in front._made.collect()[0].samples if s.name.endswith("_total")}
    assert counted == {outcome: 1}
    (seconds,) = (s.value for s in front._seconds.collect()[0].samples if s.name.endswith("_sum"))
    assert (seconds < SLOW) is (hint is None)


@pytest.mark.parametrize("where", ["flag", "variable"])
@pytest.mark.parametrize(("header", "looked_at"), [(None, 0), ("Bearer wrong", 0), ("Bearer right", 1)])
def test_a_request_without_the_key_is_not_looked_at(front, monkeypatch, where, header, looked_at):
    if where == "variable":
        monkeypatch.setenv("VLLM_API_KEY", "right")
    arguments = SimpleNamespace(api_key=["other", "right"] if where == "flag" else None)
    front._start({"app": SimpleNamespace(state=SimpleNamespace(args=arguments))})
    front.forecasting, seen = Forecasting(Slow(), 0.01), []

    async def app(_scope, receive, _send):
        seen.append(await receive())

    async def receive():
        return {"type": "http.request", "body": b'{"prompt": "hi"}'}

    front.app = app
    headers = [] if header is None else [(b"authorization", header.encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": headers}
    asyncio.run(front(scope, receive, None))
    front.forecasting.close()
    assert [message["body"] for message in seen] == [b'{"prompt": "hi"}']
    assert sum(s.value for s in front._made.collect()[0].samples if s.name.endswith("_total")) == looked_at


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1.50}',
        b' {\n "a" : [ ] , "b":{"c":"\\u00e9}"} }\n',
        "\ufeff{}".encode(),
        b'{"new": {"old": true}, "a": 2}',
    ],
)
def test_a_member_is_added_and_all_other_bytes_stay(body):
    found = bodies.added(body, {"new": {"low": 1}})
    place = body.rindex(b"}")
    assert (found[:place], found[len(found) - len(body) + place :]) == (body[:place], body[place:])
    assert bodies.read(found) == {**bodies.read(body), "new": {"low": 1}}


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"a": 1', b"\xff", '{"a": 1}'.encode("utf-16"), b"[" * 100_000])
def test_a_body_that_is_no_object_in_utf8_is_left_alone(body):
    assert bodies.read(body) is None


def test_numbers_beyond_a_double_are_read_as_vllm_reads_them():
    body = b'{"vllm_xargs": {"a": 1e400, "b": 12345678901234567890123}}'
    given = bodies.read(body)["vllm_xargs"]
    assert json.loads(bodies.added(body, {"vllm_xargs": given})) == json.loads(body)

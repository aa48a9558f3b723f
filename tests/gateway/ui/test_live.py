"""What is kept of requests that ended, and what the last answers say together."""

import json

import numpy as np
import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.running import running
from tests.gateway.ui.test_pages import crowd, get, looking

from soonest.core import Message, Prompt
from soonest.gateway.journal.savings import Saved, Savings
from soonest.predict import predictor


def hinted(tokens, low, high, **more):
    hint = [low, (low + high) / 2, high]
    return chat(tokens, max_tokens=1000, vllm_xargs={"soonest_forecast": hint}, **more)


def life_of(gateway, name):
    """All that the page tells of a request that has ended."""
    key = next(ended.key for ended in gateway.gateway.live.kept if ended.record.id == name)
    status, _, body = get(f"{gateway.url}/ui/requests/{key}")
    assert status == 200
    return json.loads(body)


def test_only_the_last_that_ended_are_kept():
    with fake_engine() as fake, running(fake.url, ui=True) as gateway:
        live = gateway.gateway.live
        most = live.kept.maxlen
        asking(*[chat(1)] * 40, url=gateway.url)
        assert (live.count, len(live.kept)) == (40, 40)
        live.count = most + 5
        live.kept.extend([live.kept[0]] * most)
        assert len(live.kept) == most
        live.recent.look(live)
        assert live.recent.latency(None)["answers"] == most
        live.recent.look(live)
        assert live.recent.latency(None)["answers"] == most, "nothing is counted twice"


def test_the_life_of_a_request_is_told_in_full():
    with fake_engine(step_ms=2) as fake, running(fake.url, ui=True) as gateway:
        body = hinted(20, 10, 30, stream=True, n=2, priority=7)
        asking(body, url=gateway.url, **{"X-Request-Id": "mine", "x-gateway-inference-fairness-id": "alice"})
        said = life_of(gateway, "mine")
        assert 0 <= said["admitted"] <= said["first_token"] <= said["finished"] < 10
        expected = {
            "state": "finished",
            "tenant": "alice",
            "model": "m",
            "engine": fake.url,
            "tokens": 40,
            "max_tokens": 1000,
            "choices": 2,
            "streams": True,
            "priority": 7,
            "failed_at": [],
            "overtaken": 0,
            "status": 200,
            "finish_reason": "stop",
        }
        assert {name: said[name] for name in expected} == expected
        told = {name: said["forecast"][name] for name in ("low", "expected", "high", "coverage", "by")}
        assert told == {"low": 10, "expected": 20.0, "high": 30, "coverage": None, "by": "client"}


def test_a_retry_is_part_of_it():
    with fake_engine(fault="status:503") as bad, fake_engine() as good, running(bad.url, good.url, ui=True) as gateway:
        asking(chat(3), chat(3), url=gateway.url, **{"X-Request-Id": "mine"})
        kept = list(gateway.gateway.live.kept)
        tried = [ended.failed_at for ended in kept]
        assert (bad.url,) in tried
        assert {ended.engine for ended in kept} == {good.url}
        with looking(gateway.url) as viewer:
            assert viewer.picture()["queue"]["retries"] == sum(map(len, tried))


def test_one_that_was_never_answered_is_kept_with_its_outcome():
    with fake_engine() as fake, running(fake.url, ui=True, longest_wait=0.2, in_flight=1) as gateway:
        asking(chat(1, "status:400"), url=gateway.url, **{"X-Request-Id": "bad"})
        assert [life_of(gateway, "bad")[name] for name in ("state", "status")] == ["failed", 400]
        with crowd(gateway.url, (chat(1, "hang"), {})):
            until(lambda: gateway.gateway.dispatcher.places[0].in_flight == 1)
            asking(chat(1), url=gateway.url, **{"X-Request-Id": "late"})
        assert life_of(gateway, "late")["status"] == 504
        assert life_of(gateway, "late")["admitted"] is None


def test_the_last_answers_say_what_the_metrics_say():
    prompts = [Prompt((Message("user", f"tokens={tokens}"),)) for tokens in range(10, 60)] * 4
    taught = predictor("conformal(history)").fit(prompts, [*range(10, 60)] * 4)
    with fake_engine() as fake, running(fake.url, ui=True, parts={"predictor": taught}) as gateway:
        asking(*[chat(20)] * 3, chat(500), chat(99, max_tokens=5), hinted(20, 10, 30), url=gateway.url)
        gateway.gateway.live.recent.look(gateway.gateway.live)
        found = gateway.gateway.live.recent.forecasts()
        assert (found["answers"], found["known"], found["judged"], found["promised"]) == (6, 6, 5, 0.9)
        assert sorted(pair[1:] for pair in found["pairs"]) == [(5, 1), *[(20, 0)] * 4, (500, 0)]
        assert (20.0, 20, 0) in found["pairs"], "as its client said"
        series = gateway.gateway.series("m")
        assert found["coverage"] == series.coverage.ratio == 0.8
        latency = gateway.gateway.live.recent.latency(None)
        took = [ended.record.finished - ended.record.arrival for ended in gateway.gateway.live.kept]
        assert latency["recent"]["mean"] == pytest.approx(np.mean(took))
        assert latency["recent"]["p90"] == pytest.approx(np.percentile(took, 90))
        assert latency["recent"]["max"] == max(took)
        assert series.e2e_latency.total == pytest.approx(sum(took))
        assert latency["replay"] is None
        assert latency["reason"] == "there is no journal to replay"


def test_a_replay_that_can_be_trusted_stands_beside_them():
    savings = Savings("nowhere")
    own, first = {"mean": 2.0, "p99": 9.0}, {"mean": 3.0, "p99": 8.0}
    with fake_engine() as fake, running(fake.url, ui=True, parts={"savings": savings}) as gateway:
        live = gateway.gateway.live
        assert live.recent.latency(savings)["reason"] == "no replay yet"
        savings.saved = Saved(1.0, 500, 0.03, own, first)
        with looking(gateway.url) as viewer:
            replay = viewer.picture()["latency"]["replay"]
        assert replay == {"own": own, "fcfs": first, "requests": 500, "difference": 0.03}
        until(lambda: live.stream.viewers == 0)

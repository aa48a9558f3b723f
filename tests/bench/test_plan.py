"""Which calls leave when: as `soonest sim` has them, and the same again for the same seed."""

import json

import numpy as np
import pytest

from soonest.bench import Call, Endpoint, Plan, calls_like, calls_of
from soonest.core import Prompt, SimulationError, SoonestError
from soonest.data import gamma, sample
from soonest.sim import Options
from soonest.studies import Scenario

CALLS = calls_of([Prompt.of(f"say {i}") for i in range(50)], 64)


def said(call, **facts):
    oracle = facts.pop("oracle", False)
    return json.loads(Endpoint("http://a", "m", **facts).body(call, oracle=oracle))


@pytest.mark.parametrize(("arrivals", "rate"), [("gamma", 5.0), ("poisson", 5.0), ("fixed", 5.0), ("burst", None)])
def test_arrivals_are_those_of_the_simulator(arrivals, rate):
    plan = Plan(CALLS, sample(), arrivals, 0.5, repetitions=3, seed=7)
    scenario = Scenario(sample(), Options(), arrivals, 50, burstiness=0.5, repetitions=3, seed=7)
    for repetition in range(3):
        _, at = plan.wave(repetition, rate, 50)
        assert (at == scenario.workload(repetition, rate).arrival).all()


def test_bursts_are_as_bursty_as_asked():
    assert (Plan(CALLS, sample(), "gamma", 0.25).wave(0, 4.0, 50)[1] == gamma(50, 4.0, 0.25, 0)).all()


def test_a_replay_starts_elsewhere_in_each_repetition():
    plan = Plan(CALLS, sample(), "replay", repetitions=2)
    first, second = (plan.wave(r, None, 40)[1] for r in range(2))
    assert first[0] == second[0] == 0
    assert not np.array_equal(first, second)


def test_a_repetition_sends_each_prompt_once_in_an_order_of_its_own():
    plan = Plan(CALLS, sample(), "burst", repetitions=2)
    sent = [[call.prompt.text for call in plan.wave(r, None, 50)[0]] for r in range(2)]
    assert sorted(sent[0]) == sorted(sent[1]) == sorted(call.prompt.text for call in CALLS)
    assert sent[0] != sent[1]
    assert sent[0] == [call.prompt.text for call in plan.wave(0, None, 50)[0]]


def test_the_order_of_policies_differs_and_is_the_same_for_the_same_seed():
    plan = Plan(CALLS, sample(), "burst", seed=3)
    orders = [plan.order(r, 4) for r in range(20)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len({order[0] for order in orders}) == 4, "none is always the first"
    assert orders == [plan.order(r, 4) for r in range(20)]


def test_only_answers_that_were_counted_are_sent_again():
    plan = Plan(CALLS, sample(), "burst").counted({3: 30, 1: 10})
    assert [(call.prompt.text, call.tokens) for call in plan.calls] == [("say 1", 10), ("say 3", 30)]


def test_a_plan_needs_a_call():
    with pytest.raises(SimulationError, match="no call to send"):
        Plan([], sample())


def test_the_body_says_what_vllm_bench_says():
    body = said(CALLS[0], temperature=None)
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "say 0"}],
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert said(CALLS[0], api="completions")["prompt"] == "say 0"
    assert said(CALLS[0], extra={"top_p": 0.5})["top_p"] == 0.5


def test_an_oracle_tells_the_measured_length_in_the_field_that_engines_know():
    call = Call(CALLS[0].prompt, 17)
    assert said(call, oracle=True, extra={"vllm_xargs": {"a": 1}})["vllm_xargs"] == {
        "a": 1,
        "soonest_forecast": [17, 17, 17],
    }
    assert "vllm_xargs" not in said(call)
    with pytest.raises(SoonestError, match="measure them first"):
        said(CALLS[0], oracle=True)


def test_lengths_of_a_trace_are_forced_and_no_prompt_begins_another():
    trace = sample().head(20)
    calls = calls_like(trace, 30)
    assert [call.tokens for call in calls[:20]] == trace.output_tokens.tolist()
    assert said(calls[0])["ignore_eos"]
    assert said(calls[0])["max_tokens"] == trace.output_tokens[0]
    texts = [call.prompt.text for call in calls]
    assert not any(a != b and b.startswith(a + " ") for a in texts for b in texts)


def test_an_endpoint_keeps_its_key_to_itself():
    endpoint = Endpoint("http://a/v1/", "m", key="secret")
    assert "secret" not in repr(endpoint)
    assert endpoint.target == "http://a/v1/chat/completions"
    assert endpoint.headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("facts", [{"url": "localhost:1"}, {"url": "http://a", "timeout": 0.0}])
def test_an_endpoint_that_is_none_is_refused(facts):
    with pytest.raises(SoonestError):
        Endpoint(**{"model": "m", **facts})

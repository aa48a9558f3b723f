"""What the router reads of a request, and writes into it."""

from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from soonest.core import Forecast
from soonest.engines.ray.asked import Asked

TOLD = Forecast.hint(5, 20, 40)


class Turn(BaseModel):
    role: str
    content: str


class Body(BaseModel):
    """As vLLM's, in little."""

    messages: list[Turn]
    model: str | None = None
    max_tokens: int | None = None
    vllm_xargs: dict[str, str | int | float | list[str | int | float]] | None = None


def test_bodies_in_openai_s_words_are_read_as_mappings_and_as_objects():
    turns = [{"role": "user", "content": "Why?"}]
    for body in ({"messages": turns, "model": "m", "max_tokens": 7}, Body(messages=turns, model="m", max_tokens=7)):
        prompt = Asked([body]).prompt
        assert (prompt.text, prompt.model, prompt.max_tokens) == ("Why?", "m", 7)
    assert Asked([{"prompt": "Tell", "max_tokens": 9}]).prompt.text == "Tell"
    assert Asked(["Tell"]).prompt.text == "Tell"


@pytest.mark.parametrize(
    "arguments", [[], [None], [3], [b"x"], [{"a": 1}], [SimpleNamespace(scope={})], [{"prompt": 4}]]
)
def test_what_is_no_such_body_says_nothing_and_stays_as_it_is(arguments):
    asked = Asked(arguments)
    assert asked.prompt is None
    assert asked.hint is None
    assert asked.told(TOLD) is (arguments[0] if arguments else None)


def test_a_forecast_is_written_into_a_copy_and_read_again():
    body = {"prompt": "Tell", "vllm_xargs": {"other": 1}}
    told = Asked([body]).told(TOLD)
    assert told == {"prompt": "Tell", "vllm_xargs": {"other": 1, "soonest_forecast": [5, 20.0, 40]}}
    assert body == {"prompt": "Tell", "vllm_xargs": {"other": 1}}
    model = Body(messages=[Turn(role="user", content="Why?")])
    assert Asked([model]).told(TOLD).vllm_xargs == {"soonest_forecast": [5, 20.0, 40]}
    assert model.vllm_xargs is None
    for again in (told, Asked([model]).told(TOLD)):
        assert Asked([again]).hint == TOLD


@pytest.mark.parametrize("given", [None, 3, [1, 2], [3, 2, 1], ["a", 2, 3], [1, 2, float("inf")], {"low": 1}])
def test_an_odd_forecast_is_none(given):
    assert Asked([{"prompt": "x", "vllm_xargs": {"soonest_forecast": given}}]).hint is None
    assert Asked([{"prompt": "x", "vllm_xargs": given}]).hint is None


def test_a_text_and_an_object_without_a_place_are_told_nothing():
    assert Asked(["Tell"]).told(TOLD) == "Tell"
    assert Asked([SimpleNamespace(prompt="Tell")]).told(TOLD) == SimpleNamespace(prompt="Tell")

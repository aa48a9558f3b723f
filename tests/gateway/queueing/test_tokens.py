"""Where a policy reserves memory, prompts are counted by the engine, in time or not at all."""

import asyncio
import time

import aiohttp
import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import CHAT, ask, asking, chat, until
from tests.gateway.running import running

COMPLETION = "/v1/completions"


def fallbacks(gateway):
    return gateway.call(lambda: dict(gateway.gateway.series("fake").fallbacks.counts))


def estimates(gateway):
    """Prompt tokens that each request was admitted with, filled as they come."""
    found, dispatcher = [], gateway.gateway.dispatcher
    enter = dispatcher.enter

    def entering(request, *args, **more):
        found.append(request.prompt_tokens)
        return enter(request, *args, **more)

    gateway.call(lambda: setattr(dispatcher, "enter", entering))
    return found


def test_the_engine_s_count_is_taken():
    with fake_engine() as fake, running(fake.url, policy="a_max", forecast_budget=10.0) as gateway:
        found = estimates(gateway)
        asking(chat(2, model="fake"), url=gateway.url)
        assert found == [4]
        assert fallbacks(gateway) == {}


def test_an_engine_that_counts_too_slowly_costs_no_more_than_a_forecast_may_and_is_counted():
    async def main(gateway, fake):
        async with aiohttp.ClientSession() as session:
            began = time.monotonic()
            task = asyncio.create_task(ask(session, gateway.url, chat(2, model="fake")))
            while not fake.engine.requests[CHAT]:  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(0.01)
            task.cancel()
            return time.monotonic() - began

    with fake_engine() as fake, running(fake.url, policy="a_max", forecast_budget=0.3) as gateway:
        fake.fault = "hang"
        seconds = asyncio.run(main(gateway, fake))
        fake.fault = ""
        assert 0.3 <= seconds < 8
        assert fallbacks(gateway) == {"tokenize": 1}
        until(gateway.idle)


@pytest.mark.parametrize(
    ("fields", "counted"),
    [({"prompt": [5, 6, 7]}, {}), ({"prompt": ["a", "b"]}, {"tokenize": 1}), ({"prompt": []}, {"tokenize": 1})],
)
def test_token_ids_need_no_engine_and_what_none_counts_is_estimated(fields, counted):
    with fake_engine() as fake, running(fake.url, policy="a_max") as gateway:
        found = estimates(gateway)
        asking({"model": "fake", **fields}, url=gateway.url, path=COMPLETION)
        assert fallbacks(gateway) == counted
        assert found[0] == 3 if not counted else found[0] >= 1
        assert not fake.engine.requests["/tokenize"]


def test_a_policy_that_reserves_nothing_asks_nobody():
    with fake_engine() as fake, running(fake.url, policy="shortest") as gateway:
        asking(chat(2, model="fake"), url=gateway.url)
        assert not fake.engine.requests["/tokenize"]
        assert fallbacks(gateway) == {}

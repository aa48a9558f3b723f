"""What a gateway makes of what an engine says of itself, and of its silence."""

import asyncio

import pytest
from tests.gateway.running import running
from tests.gateway.upstream.talk import canned, opened

from soonest.gateway.backend import Backend
from soonest.gateway.upstream import Engine
from soonest.gateway.upstream.dialects import DIALECTS

MODELS = {"data": [{"id": "m", "owned_by": "vllm"}]}
BUSY = "vllm:num_requests_waiting 0\nvllm:num_requests_running 8\n"


def test_an_engine_that_says_nothing_new_changes_no_limit():
    async def run():
        routes = {"/v1/models": MODELS, "/metrics": BUSY, "/health": "ok"}
        async with canned(routes) as url, opened() as client:
            backend = Backend(Engine(url, client), None, learns=True, reserves=False)
            limits = []
            for said in (True, True, False, False, True):
                routes["/metrics"] = BUSY if said else 503
                backend.place.in_flight = backend.place.limit
                await backend.look(held_back=True)
                limits.append(backend.place.limit)
            return limits, backend.engine.healthy

    limits, healthy = asyncio.run(run())
    assert limits == [9, 10, 10, 10, 11]
    assert healthy


def one_at_a_time(owner="me"):
    """What a server says that ends a running stream for the next request; or another of which only that is known."""
    return {"/v1/models": {"data": [{"id": "m", "owned_by": owner}]}, "/health": "ok"}


@pytest.mark.parametrize(("owner", "warned"), [("me", False), ("somebody", True)])
def test_nobody_is_advised_to_send_more_to_a_server_that_takes_one_at_a_time(caplog, owner, warned):
    async def run():
        async with canned(one_at_a_time(owner)) as url:
            await asyncio.to_thread(started, url)

    asyncio.run(run())
    assert ("give --in-flight" in caplog.text) == warned


def started(url, **settings):
    """The limit at an engine once a gateway has begun."""
    with running(url, in_flight=None, **settings) as gateway:
        return next(iter(gateway.gateway.backends.values())).place.limit


def test_one_at_a_time_holds_in_priority_mode_too_as_long_as_it_is_that_kind():
    async def run():
        routes = one_at_a_time()
        async with canned(routes) as url, opened() as client:
            free = Backend(Engine(url, client), None, learns=False, reserves=False)
            told = Backend(Engine(url, client), 3, learns=False, reserves=False)
            for backend in (free, told):
                await backend.look(held_back=False)
            limits = [free.place.limit, told.place.limit]
            assert await asyncio.to_thread(started, url, mode="priority") == 1
            routes |= {"/v1/models": MODELS, "/metrics": BUSY}
            free.engine.dialect = DIALECTS["vllm"]
            await free.look(held_back=False)
            return [*limits, free.place.limit]

    assert asyncio.run(run()) == [1, 3, None]

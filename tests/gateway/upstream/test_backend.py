"""What a gateway makes of what an engine says of itself, and of its silence."""

import asyncio

from tests.gateway.upstream.talk import canned, opened

from soonest.gateway.backend import Backend
from soonest.gateway.upstream import Engine

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

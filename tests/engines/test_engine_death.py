import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from tests.engines.asking import answer, prompt
from tests.engines.servers import serving

from soonest.core import PolicyError, Request, Rules
from soonest.engines.embedded import Engine, EngineError, Job, Settings
from soonest.engines.embedded.room import Room
from soonest.policies.shortest import Shortest

BROKEN = "from soonest.policies.shortest import Shortest\ndef evicted(self, entry):\n    raise ValueError('odd')\n"
STALLED = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


class Odd(Shortest):
    """A policy that fails as soon as memory overflows."""

    def evicted(self, _entry):
        raise PolicyError("odd")


def test_a_policy_that_raises_loses_nobody():
    room = Room(Odd(), Rules(slots=1, blocks=100, restart=False))
    room.add(Request("a", 0.0, 4, max_tokens=100))
    room.took(room.candidates(0.0))
    with pytest.raises(PolicyError):
        room.evicted("a")
    assert "a" in room


def test_whoever_waits_for_an_engine_that_dies_is_told_so(model):
    """The one that was just being evicted is in none of the library's sets, and it too must not wait for ever."""
    engine = Engine(model, Odd(), Settings(slots=4, memory=64, block_size=8))
    engine.start()
    ids = prompt(model, "tell me")

    async def run():
        jobs = [answer(engine, str(i), ids, 40) for i in range(4)]
        return await asyncio.wait_for(asyncio.gather(*jobs, return_exceptions=True), 30)

    try:
        assert [type(said) for said in asyncio.run(run())] == [EngineError] * 4
        assert not engine.alive
    finally:
        engine.stop()


def test_a_request_that_an_ending_engine_does_not_take_is_told_so(engine, model):
    made = engine()

    async def run():
        made._manager.background_thread_status.request_stop(2, 0)
        async with made.submit(Job("a", prompt(model, "tell me"), 4)) as news:
            [_ async for _ in news]

    with pytest.raises(EngineError, match=r"ending|ended|died"):
        asyncio.run(asyncio.wait_for(run(), 10))


@pytest.mark.slow
def test_a_policy_that_raises_ends_the_process_whoever_is_still_connected(model_folder, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BROKEN + "Shortest.evicted = evicted\n")
    flags = ("--memory", "96", "--block-size", "8", "--max-model-len", "96")
    body = {"prompt": "tell me", "max_tokens": 60, "ignore_eos": True}
    with (
        serving(model_folder, *flags, status=1, path=tmp_path) as made,
        socket.create_connection((urlsplit(made.url).hostname, urlsplit(made.url).port)) as stalled,
        ThreadPoolExecutor(4) as pool,
    ):
        stalled.sendall(STALLED)
        asked = [pool.submit(httpx.post, f"{made}/v1/completions", json=body, timeout=30) for _ in range(4)]
        assert [one.result().status_code for one in asked] == [500] * 4
        made.process.wait(20)

import asyncio
import json
import socket
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from tests.engines.servers import serving
from tests.gateway.clients import until

from soonest.engines.server import Api
from soonest.engines.server.errors import ApiError
from soonest.engines.server.serve import _serve
from soonest.serving import Server

pytestmark = pytest.mark.slow


def test_no_prompt_is_written_down(model_folder, capfd):
    with serving(model_folder, "--log-level", "debug") as made:
        body = {"model": "small", "prompt": "secretword", "max_tokens": 3}
        httpx.post(f"{made}/v1/completions", json=body)
        httpx.post(f"{made}/v1/completions", json={**body, "temperature": "secretword"})
    said = capfd.readouterr()
    assert "secretword" not in said.out + said.err


def test_a_signal_lets_what_runs_end_and_takes_nothing_new(model_folder):
    with (
        serving(model_folder) as made,
        httpx.Client(base_url=made.url, timeout=60) as client,
        httpx.Client(base_url=made.url) as other,
    ):
        assert other.get("/health").status_code == 200
        body = {"model": "small", "prompt": "one", "max_tokens": 500, "stream": True, "ignore_eos": True}
        with client.stream("POST", "/v1/completions", json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            made.process.terminate()
            until(lambda: other.get("/health").status_code == 503)
            refused = other.post("/v1/completions", json={"prompt": "one"})
            assert refused.status_code == 503
            assert refused.json()["error"]["type"] == "ServiceUnavailableError"
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert json.loads(rest[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
        assert made.process.wait(10) == 0


def test_an_engine_that_dies_takes_its_process_with_it(model_folder, tmp_path):
    """So that whoever watches the process can start it again."""
    (tmp_path / "sitecustomize.py").write_text(
        "from soonest.engines.embedded.scheduler import QueueScheduler\n"
        "def broken(self, *_):\n"
        "    raise RuntimeError('no memory')\n"
        "QueueScheduler.schedule_batch = broken\n"
    )
    with serving(model_folder, status=1, path=tmp_path) as made:
        answer = httpx.post(f"{made}/v1/completions", json={"prompt": "one"})
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == "the engine failed this request: no memory"
        made.process.wait(10)


def stall(made):
    """A client that sends a part of its body and then nothing."""
    at = urlsplit(made.url)
    stalled = socket.create_connection((at.hostname, at.port), timeout=20)
    stalled.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    return stalled


def test_a_client_that_stalls_its_body_does_not_hold_up_the_end(model_folder):
    with serving(model_folder) as made, stall(made) as stalled:
        time.sleep(0.3)
        made.process.terminate()
        assert made.process.wait(15) == 0
        assert stalled.recv(12) == b"HTTP/1.1 503"


def test_a_body_that_does_not_come_is_not_waited_for_for_ever():
    api = Api(SimpleNamespace(model=SimpleNamespace(name="small")), patience=0.05)

    async def never():
        await asyncio.sleep(60)

    with pytest.raises(ApiError) as raised:
        asyncio.run(api.read(never))
    assert raised.value.status == 408


def test_the_generation_thread_ends_where_the_server_cannot_start(engine, monkeypatch):
    made = engine()
    made.stop()

    async def fail(*_):
        raise OSError("no more sockets")

    monkeypatch.setattr(Server, "start", fail)
    with socket.socket() as listening, pytest.raises(OSError, match="no more sockets"):
        asyncio.run(_serve(made, listening, None, ()))
    assert not made.alive

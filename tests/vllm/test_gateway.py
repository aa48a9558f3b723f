"""The gateway before a real vLLM that we cannot enter: its own priority scheduling, with our forecast as the key."""

import json
import signal
import subprocess
import sys

import pytest
from openai import OpenAI
from tests.vllm.servers import server, stop
from tests.vllm.waves import ANSWER, STORY, history, order


@pytest.fixture(scope="module")
def engine(llama, tmp_path_factory):
    """vLLM as it is, with `--scheduling-policy priority`."""
    log = tmp_path_factory.mktemp("log") / "vllm.log"
    with server(llama, log, "--scheduling-policy", "priority") as found:
        yield found.url


def test_priority_mode_orders_an_engine_that_we_cannot_enter(engine, tmp_path):
    command = [
        *(sys.executable, "-m", "soonest", "serve", "--engine", engine, "--mode", "priority", "--policy", "shortest"),
        *("--predictor", str(history(tmp_path / "history")), "--port", "0"),
    ]
    with (tmp_path / "gateway.log").open("wb") as log:
        gateway = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        try:
            url = json.loads(gateway.stdout.readline())["url"]
            wave = [(f"story{i}", f"{STORY}{100 + i}", 400, None) for i in range(3)]
            wave += [(f"answer{i}", f"{ANSWER}{100 + i}", 4, None) for i in range(3)]
            with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
                found = order(client, engine, wave)
            assert {name[:6] for name in found[:3]} == {"answer"}
            gateway.send_signal(signal.SIGTERM)
            assert gateway.wait(60) == 0
        finally:
            stop(gateway)

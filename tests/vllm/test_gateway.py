"""The gateway before a real vLLM that we cannot enter: by its own priority scheduling, and as a gate."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import OpenAI
from tests.gateway.process.served import serving
from tests.real.waves import goes_first
from tests.vllm.servers import metrics, server
from tests.vllm.waves import ANSWER, STORY, ask, history, order

SLOTS = 2
"""As `servers.SMALL` has them."""


@pytest.fixture(scope="module")
def engine(llama, tmp_path_factory):
    """vLLM as it is, with `--scheduling-policy priority`."""
    log = tmp_path_factory.mktemp("log") / "vllm.log"
    with server(llama, log, "--scheduling-policy", "priority") as found:
        yield found.url


def through(gateway):
    return OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=120)


@pytest.mark.parametrize("mode", [("--mode", "priority"), ("--in-flight", str(SLOTS))], ids=["priority", "gate"])
def test_short_answers_go_first_in_an_engine_that_we_cannot_enter(engine, tmp_path, mode):
    predictor = str(history(tmp_path / "history"))
    flags = ("--engine", engine, *mode, "--policy", "shortest", "--predictor", predictor, "--journal", "none")
    wave = [(f"story{i}", f"{STORY}{100 + i}", 400, None) for i in range(3)]
    wave += [(f"answer{i}", f"{ANSWER}{100 + i}", 4, None) for i in range(3)]
    with serving(*flags) as gateway, through(gateway) as client:
        gate = "--in-flight" in mode
        waiting = (lambda: gateway.sum("soonest_num_requests_waiting")) if gate else None
        assert goes_first("answer", lambda: order(client, engine, wave, waiting))


def test_the_gate_learns_the_engine_s_slots_from_its_metrics(engine):
    with serving("--engine", engine, "--policy", "fcfs", "--journal", "none") as gateway, through(gateway) as client:
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda i: ask(client, f"number {i}", 200), range(48)))
        assert {answer.usage.completion_tokens for answer in answers} == {200}
        assert SLOTS <= gateway.sum("soonest_upstream_in_flight_limit") <= SLOTS + 2
        assert gateway.sum("soonest_upstream_up") == 1
    assert not any(n for name, n in metrics(engine).items() if name.startswith("vllm:num_requests_running"))

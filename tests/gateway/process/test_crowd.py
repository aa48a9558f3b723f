"""Ten thousand clients wait, the next is sent away, and all are answered."""

import contextlib
import json
import resource
import socket
import subprocess
import sys
import urllib.request

import pytest
from tests.gateway.clients import CHAT, until
from tests.gateway.process.served import serving
from tests.gateway.raw import post

WAITING = 10_000
FILES = 20_000
BODY = b'{"model":"m","messages":[{"role":"user","content":"tokens=%d%b"}]}'


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FILES:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def engine():
    """In a process of its own, so that its loop and the test do not wait for each other."""
    command = [sys.executable, "-m", "tests.fakes.engine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
def test_ten_thousand_wait_and_all_are_answered(engine):
    flags = ("--in-flight", "1", "--policy", "fcfs", "--predictor", "constant", "--journal", "none", "--log-share", "0")
    with (
        serving("--engine", engine, *flags, "--max-waiting", str(WAITING)) as gateway,
        contextlib.ExitStack() as open_ones,
    ):
        port = int(gateway.url.rpartition(":")[2])

        def sent(tokens, fault=b""):
            made = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            made.sendall(post(CHAT, BODY % (tokens, fault)))
            return made

        blocker = sent(1, b" fault=hang")
        until(lambda: gateway.sum("soonest_num_requests_running") == 1)
        waiting = [sent(1 + n % 50) for n in range(WAITING)]
        until(lambda: gateway.sum("soonest_num_requests_waiting") == WAITING, 60)
        told = sent(1).recv(4096).lower()
        assert told.startswith(b"http/1.1 429")
        assert int(told.partition(b"retry-after: ")[2].partition(b"\r\n")[0]) >= 1
        blocker.close()
        assert sum(one.recv(4096).startswith(b"HTTP/1.1 200") for one in waiting) == WAITING
        until(gateway.idle, 10)
        with urllib.request.urlopen(f"{engine}/seen", timeout=10) as seen:  # noqa: S310 - our own
            left = json.loads(seen.read())
        assert (left["running"], left["waiting"], left["cancelled"]) == (0, 0, 1)

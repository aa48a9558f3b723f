"""vLLM's own server as a process, on a free port."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass

READY_SECONDS = 600
COMMAND = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
SMALL = [
    *("--dtype", "float32", "--max-model-len", "1024", "--max-num-seqs", "2", "--max-num-batched-tokens", "256"),
    *("--enforce-eager", "--served-model-name", "small", "--num-gpu-blocks-override", "65"),
]


def environment(**more):
    """The tests' own, with the engine in a process of its own as in production."""
    return {
        **os.environ,
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        "VLLM_LOGGING_LEVEL": "INFO",
        "VLLM_CONFIGURE_LOGGING": "1",
        **more,
    }


@dataclass(frozen=True)
class Server:
    """One that runs."""

    url: str
    pid: int


@contextmanager
def server(model, log, *flags, **variables):
    """A server that is ready; its output goes to a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMAND, "--model", str(model), "--host", "127.0.0.1", "--port", str(port), *SMALL, *flags]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment(**variables), stdout=out, stderr=out, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait(url, process, log)
            yield Server(url, process.pid)
        finally:
            stop(process)


def wait(url, process, log):
    """Until it answers."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"vLLM ended with {process.returncode}:\n{log.read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310 - our own
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"vLLM is not ready after {READY_SECONDS} s:\n{log.read_text()[-4000:]}")


def stop(process):
    """It, and whatever it has started."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)


def metrics(url):
    """The numbers at `/metrics`, by name with labels."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:  # noqa: S310 - our own
        lines = answer.read().decode().splitlines()
    return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}

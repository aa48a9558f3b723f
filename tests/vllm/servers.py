"""vLLM's own server as a process, on a free port."""

import os
import sys
import urllib.request

from tests.real.servers import free_port, serving

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


def server(model, log, *flags, **variables):
    """A server that is ready; its output goes to a file."""
    port = free_port()
    command = [*COMMAND, "--model", str(model), "--host", "127.0.0.1", "--port", str(port), *SMALL, *flags]
    return serving(command, port, log, path="/health", environment=environment(**variables), seconds=READY_SECONDS)


def metrics(url):
    """The numbers at `/metrics`, by name with labels."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:  # noqa: S310 - our own
        lines = answer.read().decode().splitlines()
    return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}

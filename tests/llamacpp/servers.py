"""llama.cpp's servers as processes, and gateways before them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

READY_SECONDS = 120
ROOT = Path(__file__).parents[2] / ".venv-llamacpp" / "llama.cpp" / "build" / "bin"
"""Where `make test-llamacpp` builds."""
SLOTS = 4


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def llama_server(model, log, *flags, metrics=True):
    """The server of llama.cpp, built from its sources: four slots, one thread."""
    told = ["--metrics"] if metrics else []
    words = [*("--parallel", str(SLOTS), "--ctx-size", str(SLOTS * 1024), "--threads", "1", "--threads-http", "8")]
    command = [str(ROOT / "llama-server"), "--model", str(model), "--alias", "tiny", "--slots", *told]
    return serving([*command, *words, *flags], log)


def python_server(model, log, *flags):
    """The server of llama-cpp-python, with llama.cpp's libraries as they were built."""
    words = [*("--n_ctx", "1024", "--n_threads", "1", "--model_alias", "tiny", "--verbose", "false")]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), *words]
    return serving([*command, *flags], log, LLAMA_CPP_LIB_PATH=str(ROOT))


@contextmanager
def serving(command, log, **variables):
    """A server once it answers; gives its URL."""
    port = free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=out,
            stderr=out,
            env={**os.environ, **variables},
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait(url, process, log)
            yield url
        finally:
            stop(process)


def wait(url, process, log):
    """Until it names its models."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}:\n{log.read_text('utf-8', 'replace')[-3000:]}")
        try:
            with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as answer:  # noqa: S310 - our own
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"not ready after {READY_SECONDS} s:\n{log.read_text('utf-8', 'replace')[-3000:]}")


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def get(url):
    """A page, read as JSON if it is that."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
        text = answer.read().decode()
    try:
        return json.loads(text)
    except ValueError:
        return text

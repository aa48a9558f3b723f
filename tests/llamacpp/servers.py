"""llama.cpp's server as a process."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

READY_SECONDS = 120
EMBEDDED = Path(__file__).with_name("embedded.py")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def llama_server(model, log, *, metrics=True):
    """The server of llama.cpp with four slots; `metrics`: as with its flag `--metrics`."""
    port = free_port()
    return serving([sys.executable, str(EMBEDDED), str(model), str(port), str(int(metrics))], port, log)


@contextmanager
def serving(command, port, log):
    """A server once it answers; gives its URL."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
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

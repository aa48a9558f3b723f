"""A real engine's server as a process, with whatever it starts."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """One that runs."""

    url: str
    pid: int


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def serving(command, port, log, *, path="/v1/models", environment=None, seconds=120):
    """A server once it answers at `path`; its output goes to the file `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            wait(f"{url}{path}", process, log, seconds)
            yield Server(url, process.pid)
        finally:
            stop(process)


def wait(page, process, log, seconds):
    """Until it answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}:\n{log.read_text('utf-8', 'replace')[-4000:]}")
        try:
            with urllib.request.urlopen(page, timeout=5) as answer:  # noqa: S310 - our own
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"not ready after {seconds} s:\n{log.read_text('utf-8', 'replace')[-4000:]}")


def stop(process):
    """It, and whatever it has started."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)

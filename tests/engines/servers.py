"""A real `soonest engine` in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx2 as httpx


@contextmanager
def serving(folder, *flags, status=0, path=None):
    """The server once it takes requests; at the end it drains, and must end with `status`. `path` is imported from."""
    command = [sys.executable, "-m", "soonest", "engine", str(folder), "--port", "0", "--served-name", "small", *flags]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        assert line, "it ended before it was ready"
        ready = json.loads(line)
        assert ready["model"] == "small"
        server = Server(ready["url"], process)
        yield server
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == status
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


class Server:
    """Where it is, and its process."""

    def __init__(self, url, process):
        self.url, self.process = url, process

    def __str__(self):
        return self.url

    def metric(self, name):
        """A number of the engine's own metrics."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(f"soonest_engine_{name}{{")))

"""A whole `soonest serve` in a process of its own."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import urllib.request


class Served:
    """Where it is, its process, and what it says."""

    def __init__(self, url, process, log):
        self.url, self.process, self._log = url, process, log

    def metrics(self):
        """Every sample by its name and labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as page:  # noqa: S310 - our own
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def sum(self, name):
        """A metric's value, over all its labels."""
        return sum(value for key, value in self.metrics().items() if key.partition("{")[0] == name)

    def idle(self):
        """Nothing waits and nothing runs."""
        return not self.sum("soonest_num_requests_waiting") + self.sum("soonest_num_requests_running")

    def log(self):
        """Its stderr so far."""
        self._log.seek(0)
        return self._log.read().decode()

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def serving(*flags, status=0, through=None):
    """The gateway once it takes requests; at the end it drains and must end with `status`, unless it ended before.

    `through` is a program that starts it.
    """
    words = ["-m", "soonest", "serve"] if through is None else ["-c", through]
    command = [sys.executable, *words, "--port", "0", *flags]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        served = Served("", process, log)
        try:
            line = process.stdout.readline()
            assert line, served.log()
            served.url = json.loads(line)["url"]
            yield served
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == status, served.log()
        finally:
            if process.poll() is None:
                served.kill()
            process.stdout.close()
